package config_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/config"
)

// loose are values for a developer's machine, and two that are stricter than usual.
const loose = "RATE_LIMIT_LOGINS_PER_MINUTE=600\nRATE_LIMIT_GUESSES=11\nRATE_LIMIT_ORGANIZATIONS_PER_USER=3\n" +
	"PASSWORD_BLOCKLIST=false\nTENANT_AUTO_CREATE=false\n"

func TestTheSharedFileIsLooseOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for address, counts := range map[string]bool{
		"": true, "127.0.0.1:8000": true, "127.1.2.3:0": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		":8000": false, "0.0.0.0:8000": false, "[::]:80": false, "10.0.0.1:80": false, "app.example.com:80": false,
		"localhost.example.com:80": false,
	} {
		dir := t.TempDir()
		write(t, dir, ".env", loose)

		got, err := config.Load(environ{"JWT_SECRET_KEY": secret, "HTTP_ADDR": address}, dir)

		require.NoError(t, err)
		require.Equal(t, 3, got.Limits.Organizations, "a stricter limit counts everywhere")
		require.Equal(t, !counts, got.PasswordRules.Blocklist, address)
		if counts {
			require.Equal(t, []int{600, 11}, []int{got.Limits.LoginsPerMinute, got.Limits.Guesses}, address)
			require.Empty(t, got.Warnings)
			continue
		}
		require.Equal(t, []int{20, 10}, []int{got.Limits.LoginsPerMinute, got.Limits.Guesses}, address)
		require.Equal(t, []string{".env is for a program that listens on loopback: its value does not count for " +
			"PASSWORD_BLOCKLIST, RATE_LIMIT_LOGINS_PER_MINUTE, RATE_LIMIT_GUESSES"}, got.Warnings)
	}
}

func TestLimitsOfOnesOwnCountEverywhere(t *testing.T) {
	t.Parallel()
	own := environ{"RATE_LIMIT_LOGINS_PER_MINUTE": "700", "RATE_LIMIT_GUESSES": "12", "PASSWORD_BLOCKLIST": "false"}
	inFile := t.TempDir()
	write(t, inFile, ".env", loose+"RATE_LIMIT_ENABLED=false\n")
	write(t, inFile, ".env.local", "HTTP_ADDR=:8000\nRATE_LIMIT_LOGINS_PER_MINUTE=700\nRATE_LIMIT_GUESSES=12\n"+
		"PASSWORD_BLOCKLIST=false\nRATE_LIMIT_ENABLED=\n")
	inEnvironment := t.TempDir()
	write(t, inEnvironment, ".env", loose)
	all := environ{"HTTP_ADDR": ":8000"}
	maps.Copy(all, own)
	for dir, environment := range map[string]environ{inFile: {}, inEnvironment: all} {
		environment["JWT_SECRET_KEY"] = secret
		got, err := config.Load(environment, dir)
		require.NoError(t, err)
		require.Equal(t, []int{700, 12}, []int{got.Limits.LoginsPerMinute, got.Limits.Guesses})
		require.False(t, got.PasswordRules.Blocklist)
		require.Empty(t, got.Warnings)
	}
}

func TestTheSharedFileTurnsNoLimitsOffForOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, ".env", "RATE_LIMIT_ENABLED=false\nHTTP_ADDR=:8000\nTENANT_AUTO_CREATE=false\n")
	got, err := config.Load(environ{"JWT_SECRET_KEY": secret}, dir)
	require.NoError(t, err)
	require.NotNil(t, got.Limits)
}

func TestMakingTenantsInPublicIsWarnedOf(t *testing.T) {
	t.Parallel()
	got, err := load(t, environ{"HTTP_ADDR": ":8000"})
	require.NoError(t, err)
	require.Len(t, got.Warnings, 1)
	require.Contains(t, got.Warnings[0], "TENANT_AUTO_CREATE")

	got, err = load(t, environ{"HTTP_ADDR": ":8000", "TENANT_AUTO_CREATE": "false"})
	require.NoError(t, err)
	require.Empty(t, got.Warnings)
}
