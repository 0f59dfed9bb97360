package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/config"
)

func TestAMisspeltNameInAFileIsAMistake(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"TENANT_SPARE":       "TENANT_SPARES",
		"TENANT_SPARESS":     "TENANT_SPARES",
		"TENANT_SPRAES":      "TENANT_SPARES",
		"TENANTSPARE":        "TENANT_SPARES",
		"tenant_spares":      "TENANT_SPARES",
		"Log_Level":          "LOG_LEVEL",
		"JWT_SECRETKEY":      "JWT_SECRET_KEY",
		"TRUSTED_PROXY":      "",
		"SPARES":             "",
		"POSTGRES_PASSWORD":  "",
		"DATABASE_PASSWORD":  "",
		"TENANT_SPARES_KEPT": "",
	} {
		for _, file := range []string{".env", ".env.local"} {
			dir := t.TempDir()
			write(t, dir, file, name+"=1\n")

			got, err := config.Load(environ{"JWT_SECRET_KEY": secret}, dir)

			if want != "" {
				require.EqualError(t, err, file+": misspells "+name+" (it is spelt "+want+")")
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, []string{file + ": no setting is called " + name}, got.Warnings)
		}
	}
}

// A key of several lines ends after the first, and the next looks like a name.
func TestThePartOfASecretIsNotShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env.local", "JWT_SECRET_KEY="+secret+"\nh6S12Xoe1eIecc7oE448tw==\n")

	got, err := config.Load(environ{}, dir)

	require.NoError(t, err)
	require.Equal(t, []string{".env.local: a line sets a name that is not in capitals, and no setting has such a name"}, got.Warnings)
}

func TestAllMisspeltNamesAreNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env.local", "LOG_LEVL=debug\nHTTP_ADR=:80\nPASSWORD=hunter2\n")

	_, err := config.Load(nil, dir)

	require.EqualError(t, err, ".env.local: misspells HTTP_ADR (it is spelt HTTP_ADDR), LOG_LEVL (it is spelt LOG_LEVEL)")
}

// The environment has names of other programs.
func TestNamesInTheEnvironmentAreNotJudged(t *testing.T) {
	t.Parallel()
	got, err := load(t, environ{"LOG_LEVELS": "x", "HOME": "/root", "tenant_spares": "x"})
	require.NoError(t, err)
	require.Empty(t, got.Warnings)
}
