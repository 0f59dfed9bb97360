package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/config"
)

func TestTheFirstSourceWins(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		environ       environ
		local, shared string
		want          string
	}{
		{"nothing", nil, "", "", "HS256"},
		{".env", nil, "", "JWT_ALGORITHM=HS384", "HS384"},
		{".env.local before .env", nil, "JWT_ALGORITHM=HS512", "JWT_ALGORITHM=HS384", "HS512"},
		{"environment before both", environ{"JWT_ALGORITHM": "HS256"}, "JWT_ALGORITHM=HS512", "JWT_ALGORITHM=HS384", "HS256"},
		{"lower case in .env", nil, "", "jwt_algorithm=HS384", "HS384"},
		{"lower case in the environment", environ{"jwt_algorithm": "HS384"}, "", "", "HS384"},
		{"upper case before lower", environ{"jwt_algorithm": "HS384", "JWT_ALGORITHM": "HS512"}, "", "", "HS512"},
		{"upper case before lower in a file", nil, "", "JWT_ALGORITHM=HS512\njwt_algorithm=HS384", "HS512"},
		{"source before case", environ{"jwt_algorithm": "HS384"}, "JWT_ALGORITHM=HS512", "JWT_ALGORITHM=HS512", "HS384"},
		{"file before case", nil, "jwt_algorithm=HS384", "JWT_ALGORITHM=HS512", "HS384"},
		{"mixed case is another name", environ{"Jwt_Algorithm": "HS384"}, "", "", "HS256"},
		{"empty is the default", environ{"JWT_ALGORITHM": ""}, "", "JWT_ALGORITHM=HS384", "HS256"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, ".env", "JWT_SECRET_KEY="+secret+"\n"+tc.shared+"\n")
			write(t, dir, ".env.local", tc.local)

			got, err := config.Load(tc.environ, dir)

			require.NoError(t, err)
			require.Equal(t, tc.want, got.Tokens.Algorithm)
		})
	}
}

func TestOnlyTheOriginalsNamesAreReadInLowerCase(t *testing.T) {
	t.Parallel()

	got, err := load(t, environ{"http_addr": "nonsense", "bcrypt_cost": "4", "log_level": "nonsense"})

	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8000", got.HTTPAddr)
	require.Equal(t, 12, got.Passwords.Cost)
}

// As the original's users have it: quotes, lower case, SQLAlchemy's URL.
func TestTheOriginalsFileWorksAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "\ufeff# Database\r\n"+
		`database_url="postgresql+asyncpg://postgres:p$WORD@localhost:5432/multitenant_core"`+"\r\n"+
		"\r\n"+
		`jwt_secret_key = '${SECRET}-0123456789-0123456789-#-"'  # keep it`+"\r\n"+
		"jwt_algorithm=HS384 # or another\r\n"+
		"export jwt_access_token_expire_minutes='60'\r\n"+
		"APP_NAME=\"Multi-Tenant API\"\r\n")

	got, err := config.Load(nil, dir)

	require.NoError(t, err)
	require.Equal(t, "postgres://postgres:p$WORD@localhost:5432/multitenant_core", got.Database.URL)
	require.Equal(t, `${SECRET}-0123456789-0123456789-#-"`, string(got.Tokens.Secret))
	require.Equal(t, "HS384", got.Tokens.Algorithm)
	require.Equal(t, "1h0m0s", got.Tokens.Lifetime.String())
}

func TestAMalformedFileIsNamedAndNotShown(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"open quote":       {"JWT_SECRET_KEY=\"hunter2", ".env: has a quoted value without a closing quote"},
		"no equals sign":   {"hunter2\nHTTP_ADDR=:1\n", ".env: has a line that is not NAME=value"},
		"a lone last line": {"HTTP_ADDR=:1\nhunter2", ".env: has a line without a name or an equals sign"},
		"no name":          {"=hunter2\n", ".env: has a line without a name or an equals sign"},
		"odd name":         {"hunter-2=x\n", ".env: has a line that is not NAME=value"},
		"not text":         {"HTTP_ADDR=\x00hunter2", ".env: is not a text file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, ".env", tc.text)

			_, err := config.Load(environ{"JWT_SECRET_KEY": secret}, dir)

			require.EqualError(t, err, tc.want)
		})
	}
}

func TestAFileThatCannotBeReadIsAMistake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".env.local"), 0o700))

	_, err := config.Load(environ{"JWT_SECRET_KEY": secret}, dir)

	require.EqualError(t, err, ".env.local: cannot be read")
}

// FuzzDotEnv: whatever a file holds, it is read or refused, and never shown.
func FuzzDotEnv(f *testing.F) {
	f.Add("JWT_SECRET_KEY=\"hunter2")
	f.Add("export A='b' # c\n\nB: $C\r\n=")
	f.Add("JWT_SECRET_KEY=hunter2hunter2hunter2hunter2hunter2\nDATABASE_URL=postgres://hunter2@h/db")
	dir := f.TempDir()
	settings := environ{"JWT_SECRET_KEY": secret}

	f.Fuzz(func(t *testing.T, text string) {
		write(t, dir, ".env", text+"\nLOG_FORMAT=hunter2")
		_, err := config.Load(settings, dir)
		if err != nil {
			require.NotContains(t, err.Error(), "hunter2")
		}
	})
}
