package config_test

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/backups/retention"
	"multitenant/backups/store"
	"multitenant/config"
	"multitenant/database"
	"multitenant/models"
)

const (
	secret    = "0123456789abcdef0123456789abcdef"
	recipient = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa" // of nobody
)

type environ = map[string]string

// load reads settings without any file; the key is set, so that none is made.
func load(t *testing.T, changes environ) (config.Config, error) {
	t.Helper()
	all := environ{"JWT_SECRET_KEY": secret}
	maps.Copy(all, changes)
	return config.Load(all, t.TempDir())
}

func write(t *testing.T, dir, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
}

func TestLoadFillsInTheDefaults(t *testing.T) {
	t.Parallel()

	got, err := load(t, nil)

	require.NoError(t, err)
	require.Equal(t, config.Config{
		HTTPAddr: "127.0.0.1:8000",
		Database: database.Options{
			URL:               "sqlite://data/core.db",
			TenantPrefix:      "multitenant_",
			MaxConnections:    40,
			TenantConnections: 100,
		},
		Tokens: auth.TokenOptions{
			Secret:          []byte(secret),
			Algorithm:       "HS256",
			Lifetime:        30 * time.Minute,
			RefreshLifetime: 30 * 24 * time.Hour,
			SessionLifetime: 90 * 24 * time.Hour,
		},
		Passwords:        auth.PasswordOptions{Cost: 12},
		PasswordRules:    models.PasswordRules{Blocklist: true},
		CoreRegistration: models.RegistrationOpen,
		TenantAutoCreate: true,
		TenantSpares:     2,
		TenantSlugRest:   30 * 24 * time.Hour,
		KeepReplaced:     7 * 24 * time.Hour,
		Limits: &limits.Options{
			LoginsPerMinute: 20, RegistrationsPerHour: 20, TenantsPerHour: 5, AllTenantsPerHour: 60, Organizations: 20,
			PasswordsPerMinute: 60, WritesPerMinute: 300, AllWritesPerMinute: 3000, Guesses: 10, AllGuesses: 100,
		},
		LogLevel:  slog.LevelInfo,
		Backups:   config.Backups{KeepDeleted: 30 * 24 * time.Hour},
		LogFormat: "text",
	}, got)
}

func TestLoadReadsEverySetting(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)

	got, err := config.Load(environ{
		"DATABASE_URL":                        "postgres://app:pw@db.example/core",
		"TENANT_DATABASE_URL":                 "postgres://pooler.example:6432",
		"DATABASE_MAX_CONNECTIONS":            "90",
		"TENANT_CONNECTION_LIMIT":             "50",
		"HTTP_ADDR":                           ":9000",
		"METRICS_ADDR":                        "127.0.0.1:9100",
		"JWT_SECRET_KEY":                      " " + secret + " ",
		"JWT_PREVIOUS_SECRET_KEYS":            "old " + secret + ", older " + secret,
		"JWT_ALGORITHM":                       "HS512",
		"JWT_ACCESS_TOKEN_EXPIRE_MINUTES":     "5",
		"JWT_REFRESH_TOKEN_EXPIRE_DAYS":       "7",
		"JWT_SESSION_EXPIRE_DAYS":             "60",
		"BCRYPT_COST":                         "4",
		"PASSWORD_BLOCKLIST":                  "false",
		"CORE_REGISTRATION":                   "closed",
		"TENANT_AUTO_CREATE":                  "false",
		"TENANT_SPARES":                       "5",
		"TENANT_SLUG_REST_DAYS":               "7",
		"AUDIT_KEEP_DAYS":                     "365",
		"KEEP_REPLACED":                       "30",
		"TENANT_DATABASE_PREFIX":              "shop_eu_",
		"CORS_ALLOWED_ORIGINS":                "https://a.example, http://localhost:3000,",
		"TRUSTED_PROXIES":                     "10.0.0.0/8,::1",
		"RATE_LIMIT_ENABLED":                  "true",
		"RATE_LIMIT_LOGINS_PER_MINUTE":        "1",
		"RATE_LIMIT_REGISTRATIONS_PER_HOUR":   "2",
		"RATE_LIMIT_TENANTS_PER_HOUR":         "3",
		"RATE_LIMIT_ALL_TENANTS_PER_HOUR":     "4",
		"RATE_LIMIT_ORGANIZATIONS_PER_USER":   "5",
		"RATE_LIMIT_PASSWORDS_PER_MINUTE":     "8",
		"RATE_LIMIT_WRITES_PER_MINUTE":        "9",
		"RATE_LIMIT_TENANT_WRITES_PER_MINUTE": "10",
		"RATE_LIMIT_GUESSES":                  "6",
		"RATE_LIMIT_ALL_GUESSES":              "7",
		"BACKUP_URL":                          "file:///var/backups/multi%20tenant",
		"BACKUP_ACCESS_KEY":                   "access",
		"BACKUP_SECRET_KEY":                   "se/cr+et=",
		"BACKUP_RECIPIENTS":                   recipient + "," + recipient,
		"BACKUP_IDENTITY_FILE":                "config_test.go",
		"BACKUP_KEEP":                         "7d,5w,12m",
		"BACKUP_KEEP_DELETED":                 "60d",
		"BACKUP_EVERY":                        "24h",
		"BACKUP_PG_DUMP":                      program,
		"LOG_LEVEL":                           "debug",
		"LOG_FORMAT":                          "json",
		"PATH":                                "/bin",
	}, t.TempDir())

	require.NoError(t, err)
	require.Equal(t, config.Config{
		HTTPAddr:    ":9000",
		MetricsAddr: "127.0.0.1:9100",
		Database: database.Options{
			URL:            "postgres://app:pw@db.example/core",
			TenantURL:      "postgres://pooler.example:6432",
			TenantPrefix:   "shop_eu_",
			MaxConnections: 90, TenantConnections: 50,
		},
		Tokens: auth.TokenOptions{
			Secret:          []byte(" " + secret + " "),
			PreviousSecrets: [][]byte{[]byte("old " + secret), []byte("older " + secret)},
			Algorithm:       "HS512",
			Lifetime:        5 * time.Minute,
			RefreshLifetime: 7 * 24 * time.Hour,
			SessionLifetime: 60 * 24 * time.Hour,
		},
		Passwords:          auth.PasswordOptions{Cost: 4},
		CoreRegistration:   models.RegistrationClosed,
		TenantSpares:       5,
		TenantSlugRest:     7 * 24 * time.Hour,
		AuditKeep:          365 * 24 * time.Hour,
		KeepReplaced:       30 * 24 * time.Hour,
		CORSAllowedOrigins: []string{"https://a.example", "http://localhost:3000"},
		TrustedProxies:     []string{"10.0.0.0/8", "::1"},
		Limits: &limits.Options{
			LoginsPerMinute: 1, RegistrationsPerHour: 2, TenantsPerHour: 3, AllTenantsPerHour: 4, Organizations: 5,
			PasswordsPerMinute: 8, WritesPerMinute: 9, AllWritesPerMinute: 10, Guesses: 6, AllGuesses: 7,
		},
		Backups: config.Backups{
			Place: store.Place{Folder: "/var/backups/multi tenant"}, Keys: store.Keys{Access: "access", Secret: "se/cr+et="},
			Recipients: []string{recipient, recipient}, IdentityFile: "config_test.go",
			Keep: retention.Policy{Days: 7, Weeks: 5, Months: 12}, KeepDeleted: 60 * 24 * time.Hour, Every: 24 * time.Hour,
			PgDump: program,
		},
		LogLevel:  slog.LevelDebug,
		LogFormat: "json",
	}, got)
}

func TestLoadReportsAllMistakesTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "JWT_ALGORITHM='hunter2\n")
	write(t, dir, ".env.local", "hunter2\nHTTP_ADDR=1\n")
	wrong := environ{
		"DATABASE_URL":                        "mysql://root:hunter2@host/db",
		"TENANT_DATABASE_URL":                 "mysql://root:hunter2@host/db",
		"DATABASE_MAX_CONNECTIONS":            "hunter2",
		"TENANT_CONNECTION_LIMIT":             "hunter2",
		"HTTP_ADDR":                           "hunter2",
		"METRICS_ADDR":                        "hunter2",
		"JWT_SECRET_KEY":                      "hunter2",
		"JWT_PREVIOUS_SECRET_KEYS":            "hunter2",
		"JWT_ALGORITHM":                       "hunter2",
		"JWT_ACCESS_TOKEN_EXPIRE_MINUTES":     "0",
		"JWT_REFRESH_TOKEN_EXPIRE_DAYS":       "0",
		"JWT_SESSION_EXPIRE_DAYS":             "366",
		"BCRYPT_COST":                         "16",
		"PASSWORD_BLOCKLIST":                  "hunter2",
		"CORE_REGISTRATION":                   "hunter2",
		"TENANT_AUTO_CREATE":                  "hunter2",
		"TENANT_SPARES":                       "hunter2",
		"TENANT_SLUG_REST_DAYS":               "hunter2",
		"AUDIT_KEEP_DAYS":                     "hunter2",
		"KEEP_REPLACED":                       "hunter2",
		"TENANT_DATABASE_PREFIX":              "hunter2",
		"CORS_ALLOWED_ORIGINS":                "https://good.example,hunter2",
		"TRUSTED_PROXIES":                     "hunter2",
		"RATE_LIMIT_ENABLED":                  "hunter2",
		"RATE_LIMIT_LOGINS_PER_MINUTE":        "0",
		"RATE_LIMIT_REGISTRATIONS_PER_HOUR":   "0",
		"RATE_LIMIT_TENANTS_PER_HOUR":         "0",
		"RATE_LIMIT_ALL_TENANTS_PER_HOUR":     "0",
		"RATE_LIMIT_ORGANIZATIONS_PER_USER":   "0",
		"RATE_LIMIT_PASSWORDS_PER_MINUTE":     "0",
		"RATE_LIMIT_WRITES_PER_MINUTE":        "0",
		"RATE_LIMIT_TENANT_WRITES_PER_MINUTE": "0",
		"RATE_LIMIT_GUESSES":                  "0",
		"RATE_LIMIT_ALL_GUESSES":              "hunter2",
		"BACKUP_URL":                          "s3:hunter2",
		"BACKUP_ACCESS_KEY":                   "hunter2 ",
		"BACKUP_SECRET_KEY":                   "hunter2\n",
		"BACKUP_RECIPIENTS":                   recipient + ",hunter2",
		"BACKUP_IDENTITY_FILE":                "hunter2",
		"BACKUP_KEEP":                         "7d,hunter2",
		"BACKUP_KEEP_DELETED":                 "hunter2",
		"BACKUP_EVERY":                        "hunter2",
		"BACKUP_PG_DUMP":                      "hunter2",
		"LOG_LEVEL":                           "hunter2",
		"LOG_FORMAT":                          "hunter2",
	}

	_, err := config.Load(wrong, dir)

	require.Error(t, err)
	var named []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		named = append(named, name)
	}
	require.Equal(t, append([]string{".env.local", ".env"}, config.Names()...), named)
	require.NotContains(t, err.Error(), "hunter2")

	_, again := config.Load(wrong, dir)
	require.EqualError(t, again, err.Error())
}

func TestLoadRefusesValues(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"DATABASE_MAX_CONNECTIONS":        {"-1", "0", "1", "4.5", "0x40", "1e2", "99999999999999999999", "300000", " 40"},
		"TENANT_CONNECTION_LIMIT":         {"-1", "0", "none", "300000"},
		"HTTP_ADDR":                       {"8000", "localhost", "localhost:", "localhost:http", ":70000", ":-1", "a b:80", "[::1", "http://localhost:80", "-x:80"},
		"METRICS_ADDR":                    {"9100", "localhost", ":70000", "off", "http://localhost:9100", "127.0.0.1:8000"},
		"JWT_SECRET_KEY":                  {"x", secret[1:], strings.Repeat("x", 64), strings.Repeat("secret", 8)},
		"JWT_PREVIOUS_SECRET_KEYS":        {"x", secret + "," + secret[1:], secret + "," + strings.Repeat("x", 64), strings.Repeat(secret+",", 9)},
		"JWT_ALGORITHM":                   {"none", "hs256", "RS256", "HS256 "},
		"JWT_ACCESS_TOKEN_EXPIRE_MINUTES": {"0", "-5", "525601", "9223372036854775807", "30m", "1.5"},
		"JWT_REFRESH_TOKEN_EXPIRE_DAYS":   {"0", "-1", "366", "30d", "0.5", "99999999999999999999"},
		"JWT_SESSION_EXPIRE_DAYS":         {"0", "-1", "366", "90d", "0.5", "99999999999999999999"},
		"BCRYPT_COST":                     {"3", "16", "31", "-12", "twelve"},
		"PASSWORD_BLOCKLIST":              {"yes", "none", "10000"},
		"CORE_REGISTRATION":               {"invite", "OPEN", "true"},
		"TENANT_AUTO_CREATE":              {"yes", "2", "on"},
		"TENANT_SPARES":                   {"-1", "1001", "many", "1.5"},
		"TENANT_SLUG_REST_DAYS":           {"-1", "3651", "30d"},
		"AUDIT_KEEP_DAYS":                 {"-1", "3651", "30d"},
		"KEEP_REPLACED":                   {"-1", "3651", "7d"},
		"TENANT_DATABASE_PREFIX":          {"_", "x", "X_", "1x_", "_x_", "x__", "x__y_", "x-y_", "x y_", "ä_", "abcdefghijklmnopqrst_", "x_\n"},
		"CORS_ALLOWED_ORIGINS": {
			"*", "null", "example.com", "https://*.example.com", "https://example.com/", "https://example.com?x",
			"https://user@example.com", "ftp://example.com", "HTTPS://example.com", "https://Example.com", "https://",
			"https://example.com:443", "http://example.com:80", "https://example.com:", "https://example.com#x", "https://a.example https://b.example",
		},
		"TRUSTED_PROXIES":    {"proxy.example", "10.0.0.0/33", "10.0.0", "*", "fe80::1%eth0", "10.0.0.1:80"},
		"RATE_LIMIT_ENABLED": {"yes", "off", "2"},
		"BACKUP_URL": {
			"/var/backups", "file:", "file://", "file://backups", "file://host/backups", "file:///a?b", "file:///a#b",
			"s3://", "s3://Bucket", "s3://b", "s3://user:key@bucket", "s3://bucket/a/../b", "s3://bucket//a//b", "s3://bucket?endpoint=",
			"s3://bucket?region=a&region=b", "s3://bucket?secret=b", "s3://bucket?endpoint=ftp://host", "s3://bucket?endpoint=host/path",
			"s3://bucket?endpoint=a;b", "s3://bucket#a",
		},
		"BACKUP_ACCESS_KEY":    {"a b", "ä"},
		"BACKUP_SECRET_KEY":    {"a b", "ä", "a\tb"},
		"BACKUP_RECIPIENTS":    {"age1", recipient + " " + recipient, "AGE-SECRET-KEY-1", "ssh-ed25519 AAAA"},
		"BACKUP_IDENTITY_FILE": {"missing", "."},
		"BACKUP_EVERY":         {"24", "1s", "1d", "-1h", "9000h", "24h"},
		"BACKUP_PG_DUMP":       {"pg_dump", "/missing/pg_dump", "."},
		"BACKUP_KEEP_DELETED":  {"30", "0d", "3651d", "5w", "-1d", "d"},
		"BACKUP_KEEP":          {"7", "7d 5w", "0d", "1001d", "7d,7d", "7y", ","},
		"LOG_LEVEL":            {"trace", "INFO", "info+2", "4"},
		"LOG_FORMAT":           {"JSON", "xml"},
	}
	for _, name := range config.Names() {
		if strings.HasPrefix(name, "RATE_LIMIT_") && cases[name] == nil {
			cases[name] = []string{"0", "-1", "1000001", "20/min", "1.5"}
		}
	}
	for name, values := range cases {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Parallel()

				_, err := load(t, environ{name: value})

				require.Error(t, err)
				require.Regexp(t, "^"+name+": [a-z]", err.Error())
				require.NotContains(t, err.Error(), "\n", "one mistake is one line")
			})
		}
	}
}

func TestLoadAcceptsValues(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"HTTP_ADDR":                {":8000", "0.0.0.0:80", "[::1]:8000", "localhost:0", "app.example.com:65535", "my-host.local:1"},
		"METRICS_ADDR":             {":9100", "[::1]:9100", "metrics.local:0", "127.0.0.1:9100", "127.0.0.1:0", "localhost:8000"},
		"JWT_PREVIOUS_SECRET_KEYS": {secret, strings.Repeat(secret+",", 8), " , "},
		"BCRYPT_COST":              {"4", "15"},
		"CORE_REGISTRATION":        {"open", "closed"},
		"PASSWORD_BLOCKLIST":       {"true", "false"},
		"TENANT_AUTO_CREATE":       {"true", "false", "1", "0", "True", "FALSE"},
		"TENANT_SPARES":            {"0", "1000"},
		"TENANT_SLUG_REST_DAYS":    {"0", "3650"},
		"AUDIT_KEEP_DAYS":          {"0", "3650"},
		"KEEP_REPLACED":            {"0", "3650"},
		"TENANT_DATABASE_PREFIX":   {"x_", "a1_b2_", "abcdefghijklmnopqrs_"},
		"CORS_ALLOWED_ORIGINS":     {"https://example.com", "http://[::1]:3000", "http://127.0.0.1:8080", "http://example.com:443", " , "},
		"TRUSTED_PROXIES":          {"127.0.0.1", "fd00::/8", "0.0.0.0/0"},
	}
	for name, values := range cases {
		for _, value := range append(values, "") {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Parallel()
				_, err := load(t, environ{name: value})
				require.NoError(t, err)
			})
		}
	}
}

// The file documents every setting with its default. All it sets are limits on
// requests from one address, which on a developer's machine are all requests, and
// passwords that are easy to type.
func TestDotEnvNamesEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../.env")
	require.NoError(t, err)

	lines := regexp.MustCompile(`(?m)^# ([A-Za-z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1)
	named := make([]string, 0, len(lines))
	defaults := environ{}
	for _, line := range lines {
		named = append(named, line[1])
		defaults[line[1]] = line[2]
	}
	require.Equal(t, config.Names(), named)
	require.Empty(t, defaults["JWT_SECRET_KEY"], "the file is committed")

	want, err := load(t, nil)
	require.NoError(t, err)
	delete(defaults, "JWT_SECRET_KEY")
	got, err := load(t, defaults)
	require.NoError(t, err)
	require.Equal(t, want, got)

	dir := t.TempDir()
	write(t, dir, ".env", string(text))
	got, err = config.Load(environ{"JWT_SECRET_KEY": secret}, dir)
	require.NoError(t, err)
	require.Greater(t, got.Limits.LoginsPerMinute, want.Limits.LoginsPerMinute)
	got.Limits.LoginsPerMinute, got.Limits.RegistrationsPerHour = want.Limits.LoginsPerMinute, want.Limits.RegistrationsPerHour
	got.Limits.TenantsPerHour, got.Limits.AllTenantsPerHour = want.Limits.TenantsPerHour, want.Limits.AllTenantsPerHour
	got.Limits.PasswordsPerMinute, got.Limits.WritesPerMinute = want.Limits.PasswordsPerMinute, want.Limits.WritesPerMinute
	got.Limits.AllWritesPerMinute = want.Limits.AllWritesPerMinute
	require.False(t, got.PasswordRules.Blocklist)
	got.PasswordRules = want.PasswordRules
	require.Equal(t, want, got, "the guesses and all else are as by default")
}

func TestEightDifferentBytesMakeAKey(t *testing.T) {
	t.Parallel()
	_, err := load(t, environ{"JWT_SECRET_KEY": strings.Repeat("abcdefgh", 4)})
	require.NoError(t, err)
}

func TestLimitsCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	got, err := load(t, environ{"RATE_LIMIT_ENABLED": "false"})
	require.NoError(t, err)
	require.Nil(t, got.Limits)
}
