package models_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

func passwordCode(t *testing.T, rules models.PasswordRules, password *string, owner models.PasswordOwner) string {
	t.Helper()
	return codeOf(t, func(ch *models.Checks) { rules.Check(ch, "field", password, owner) })
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, password, email, want string }{
		{"empty", "", "a@b.cd", "too_short"},
		{"7 characters", "1234567", "a@b.cd", "too_short"},
		{"8 characters", "12345678", "a@b.cd", ""},
		{"7 characters of many bytes", strings.Repeat("é", 7), "a@b.cd", "too_short"},
		{"8 characters of many bytes", strings.Repeat("é", 8), "a@b.cd", ""},
		{"72 bytes", strings.Repeat("x", 72), "a@b.cd", ""},
		{"73 bytes", strings.Repeat("x", 73), "a@b.cd", "too_long"},
		{"72 bytes of 18 characters", strings.Repeat("🐎", 18), "a@b.cd", ""},
		{"76 bytes of 19 characters", strings.Repeat("🐎", 19), "a@b.cd", "too_long"},
		{"NUL", "1234567\x00", "a@b.cd", "invalid_text"},
		{"short and not UTF-8", "\xff", "a@b.cd", "invalid_text"},
		{"the address", "ada@b.cd", "ada@b.cd", "same_as_email"},
		{"the address in capitals", "ADA@B.CD", "ada@b.cd", "same_as_email"},
		{"the address and more", "ada@b.cd1", "ada@b.cd", ""},
		{"no address", "12345678", "", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			owner := models.PasswordOwner{Email: tc.email}
			require.Equal(t, tc.want, passwordCode(t, models.PasswordRules{}, &tc.password, owner))
		})
	}
	require.Equal(t, "required", passwordCode(t, models.PasswordRules{}, nil, models.PasswordOwner{}))
}

func TestTheBlocklist(t *testing.T) {
	t.Parallel()
	name := " Ada  King "
	owner := models.PasswordOwner{Email: "Lovelace@example.com", FullName: &name, Tenant: "analytical"}
	for password, want := range map[string]string{
		"password":                   "too_common",
		"PassWord123":                "too_common",
		"12345678":                   "too_common",
		"qwertyuiop":                 "too_common",
		"88888888":                   "too_common",
		"987654321":                  "too_common",
		"AbCdEfGhI":                  "too_common",
		"acegikmoq":                  "",
		"correct horse battery":      "",
		"password\nand another line": "",
		"lovelace":                   "too_easy",
		"LOVELACE":                   "too_easy",
		"ada  king":                  "too_easy",
		"Analytical":                 "too_easy",
		" analytical ":               "too_easy",
		"analytical engine":          "",
		"lovelace@example.org":       "",
		"lovelace@example.com":       "same_as_email",
	} {
		require.Equal(t, want, passwordCode(t, models.PasswordRules{Blocklist: true}, &password, owner), password)
	}
	common, easy := "password", "analytical"
	require.Empty(t, passwordCode(t, models.PasswordRules{}, &common, owner))
	require.Empty(t, passwordCode(t, models.PasswordRules{}, &easy, owner))
	require.Empty(t, passwordCode(t, models.PasswordRules{Blocklist: true}, &easy, models.PasswordOwner{}))
}
