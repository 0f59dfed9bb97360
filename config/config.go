// Package config reads the settings. Nothing else in the program reads the
// environment: every other package declares options, and config fills them.
package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/database"
	"multitenant/models"
)

// Config is every setting, checked and in the form its user takes.
type Config struct {
	HTTPAddr           string
	MetricsAddr        string // empty means no metrics
	Database           database.Options
	Tokens             auth.TokenOptions
	Passwords          auth.PasswordOptions
	TenantAutoCreate   bool
	TenantSpares       int
	TenantSlugRest     time.Duration
	AuditKeep          time.Duration // 0 means for good
	KeepReplaced       time.Duration
	CORSAllowedOrigins []string
	TrustedProxies     []string
	CoreRegistration   models.Registration // open or closed
	PasswordRules      models.PasswordRules
	Limits             *limits.Options // nil means none
	Backups            Backups
	LogLevel           slog.Level
	LogFormat          string
	// Warnings are sentences for the log of a server that starts: the settings may be
	// meant so, but perhaps are not.
	Warnings []string
}

// settings are the settings by their names, in the order in which mistakes are
// reported.
type settings struct {
	DatabaseURL            string `env:"DATABASE_URL" envDefault:"sqlite://data/core.db"`
	TenantDatabaseURL      string `env:"TENANT_DATABASE_URL"`
	DatabaseMaxConnections int    `env:"DATABASE_MAX_CONNECTIONS" envDefault:"40"`
	TenantConnections      int    `env:"TENANT_CONNECTION_LIMIT" envDefault:"100"`
	HTTPAddr               string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8000"`
	MetricsAddr            string `env:"METRICS_ADDR"`
	JWTSecretKey           string `env:"JWT_SECRET_KEY"`
	JWTPreviousKeys        list   `env:"JWT_PREVIOUS_SECRET_KEYS"`
	JWTAlgorithm           string `env:"JWT_ALGORITHM" envDefault:"HS256"`
	JWTMinutes             int    `env:"JWT_ACCESS_TOKEN_EXPIRE_MINUTES" envDefault:"30"`
	JWTRefreshDays         int    `env:"JWT_REFRESH_TOKEN_EXPIRE_DAYS" envDefault:"30"`
	JWTSessionDays         int    `env:"JWT_SESSION_EXPIRE_DAYS" envDefault:"90"`
	BcryptCost             int    `env:"BCRYPT_COST" envDefault:"12"`
	PasswordBlocklist      bool   `env:"PASSWORD_BLOCKLIST" envDefault:"true"`
	CoreRegistration       string `env:"CORE_REGISTRATION" envDefault:"open"`
	TenantAutoCreate       bool   `env:"TENANT_AUTO_CREATE" envDefault:"true"`
	TenantSpares           int    `env:"TENANT_SPARES" envDefault:"2"`
	TenantSlugRestDays     int    `env:"TENANT_SLUG_REST_DAYS" envDefault:"30"`
	AuditKeepDays          int    `env:"AUDIT_KEEP_DAYS" envDefault:"0"`
	KeepReplaced           int    `env:"KEEP_REPLACED" envDefault:"7"`
	TenantDatabasePrefix   string `env:"TENANT_DATABASE_PREFIX" envDefault:"multitenant_"`
	CORSAllowedOrigins     list   `env:"CORS_ALLOWED_ORIGINS"`
	TrustedProxies         list   `env:"TRUSTED_PROXIES"`
	RateLimitEnabled       bool   `env:"RATE_LIMIT_ENABLED" envDefault:"true"`
	Logins                 int    `env:"RATE_LIMIT_LOGINS_PER_MINUTE" envDefault:"20"`
	Registrations          int    `env:"RATE_LIMIT_REGISTRATIONS_PER_HOUR" envDefault:"20"`
	NewTenants             int    `env:"RATE_LIMIT_TENANTS_PER_HOUR" envDefault:"5"`
	AllNewTenants          int    `env:"RATE_LIMIT_ALL_TENANTS_PER_HOUR" envDefault:"60"`
	Organizations          int    `env:"RATE_LIMIT_ORGANIZATIONS_PER_USER" envDefault:"20"`
	Passwords              int    `env:"RATE_LIMIT_PASSWORDS_PER_MINUTE" envDefault:"60"`
	Writes                 int    `env:"RATE_LIMIT_WRITES_PER_MINUTE" envDefault:"300"`
	AllWrites              int    `env:"RATE_LIMIT_TENANT_WRITES_PER_MINUTE" envDefault:"3000"`
	Guesses                int    `env:"RATE_LIMIT_GUESSES" envDefault:"10"`
	AllGuesses             int    `env:"RATE_LIMIT_ALL_GUESSES" envDefault:"100"`
	BackupURL              string `env:"BACKUP_URL"`
	BackupAccessKey        string `env:"BACKUP_ACCESS_KEY"`
	BackupSecretKey        string `env:"BACKUP_SECRET_KEY"`
	BackupRecipients       list   `env:"BACKUP_RECIPIENTS"`
	BackupIdentityFile     string `env:"BACKUP_IDENTITY_FILE"`
	BackupKeep             string `env:"BACKUP_KEEP"`
	BackupKeepDeleted      string `env:"BACKUP_KEEP_DELETED" envDefault:"30d"`
	BackupEvery            string `env:"BACKUP_EVERY"`
	BackupPgDump           string `env:"BACKUP_PG_DUMP"`
	LogLevel               string `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat              string `env:"LOG_FORMAT" envDefault:"text"`
}

// Names lists the settings there are, in the order in which mistakes are reported.
func Names() []string {
	fields := reflect.TypeFor[settings]()
	names := make([]string, 0, fields.NumField())
	for field := range fields.Fields() {
		names = append(names, field.Tag.Get("env"))
	}
	return names
}

// Load reads the settings from the process's environment, then from .env.local
// and .env in dir; the first that has a setting wins. The error names all
// mistakes, one a line, and tells no value. On SQLite a key for the tokens is
// made where none is set and none has been made before.
func Load(environ map[string]string, dir string) (Config, error) {
	s, warnings, err := load(environ, dir)
	if err != nil {
		return Config{}, err
	}
	// Only now, so that settings with a mistake leave no file behind.
	secret, err := s.secret(s.DatabaseURL)
	if err != nil {
		return Config{}, fmt.Errorf("JWT_SECRET_KEY: %w", err)
	}
	cfg := s.config(secret)
	cfg.Warnings = slices.Concat(warnings, s.warnings())
	return cfg, nil
}

// LoadKeyless is Load for those who issue no tokens: it makes no key and
// returns none, and has no warnings.
func LoadKeyless(environ map[string]string, dir string) (Config, error) {
	s, _, err := load(environ, dir)
	if err != nil {
		return Config{}, err
	}
	return s.config(nil), nil
}

// load returns the settings, with the URLs as package database takes them, and
// warnings about their sources.
func load(environ map[string]string, dir string) (s *settings, warnings []string, err error) {
	wrong := mistakes{}
	texts, warnings := merge(environ, dir, wrong)
	s = parse(texts, wrong)
	s.check(wrong)

	hasHost := environ["PGHOST"] != "" || environ["PGSERVICE"] != "" // the driver reads them
	s.DatabaseURL, err = normalizeURL(s.DatabaseURL, hasHost)
	wrong.add("DATABASE_URL", err)
	s.TenantDatabaseURL, err = normalizeTenantURL(s.TenantDatabaseURL, s.DatabaseURL, hasHost)
	wrong.add("TENANT_DATABASE_URL", err)
	wrong.add("JWT_SECRET_KEY", s.checkSecret(s.DatabaseURL))
	return s, warnings, wrong.join()
}

// config may be called only on settings without mistakes.
func (s *settings) config(secret []byte) Config {
	return Config{
		HTTPAddr:    s.HTTPAddr,
		MetricsAddr: s.MetricsAddr,
		Database: database.Options{
			URL:               s.DatabaseURL,
			TenantURL:         s.TenantDatabaseURL,
			TenantPrefix:      s.TenantDatabasePrefix,
			MaxConnections:    s.DatabaseMaxConnections,
			TenantConnections: s.TenantConnections,
		},
		Tokens: auth.TokenOptions{
			Secret:          secret,
			PreviousSecrets: s.previousSecrets(),
			Algorithm:       s.JWTAlgorithm,
			Lifetime:        time.Duration(s.JWTMinutes) * time.Minute,
			RefreshLifetime: time.Duration(s.JWTRefreshDays) * 24 * time.Hour,
			SessionLifetime: time.Duration(s.JWTSessionDays) * 24 * time.Hour,
		},
		Passwords:          auth.PasswordOptions{Cost: s.BcryptCost},
		PasswordRules:      models.PasswordRules{Blocklist: s.PasswordBlocklist},
		CoreRegistration:   models.Registration(s.CoreRegistration),
		TenantAutoCreate:   s.TenantAutoCreate,
		TenantSpares:       s.TenantSpares,
		TenantSlugRest:     time.Duration(s.TenantSlugRestDays) * 24 * time.Hour,
		AuditKeep:          time.Duration(s.AuditKeepDays) * 24 * time.Hour,
		KeepReplaced:       time.Duration(s.KeepReplaced) * 24 * time.Hour,
		CORSAllowedOrigins: s.CORSAllowedOrigins,
		TrustedProxies:     s.TrustedProxies,
		Limits:             s.limits(),
		Backups:            s.backups(),
		LogLevel:           logLevels()[s.LogLevel],
		LogFormat:          s.LogFormat,
	}
}

// limits returns nil where they are turned off.
func (s *settings) limits() *limits.Options {
	if !s.RateLimitEnabled {
		return nil
	}
	return &limits.Options{
		LoginsPerMinute:      s.Logins,
		RegistrationsPerHour: s.Registrations,
		TenantsPerHour:       s.NewTenants,
		AllTenantsPerHour:    s.AllNewTenants,
		Organizations:        s.Organizations,
		PasswordsPerMinute:   s.Passwords,
		WritesPerMinute:      s.Writes,
		AllWritesPerMinute:   s.AllWrites,
		Guesses:              s.Guesses,
		AllGuesses:           s.AllGuesses,
	}
}
