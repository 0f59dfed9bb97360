package tests_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

type resetView struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
	UserID    int64     `json:"user_id"`
	Email     string    `json:"email"`
	Tenant    *string   `json:"tenant"`
}

// TestUsersResetPassword beside a server: the token is on stdout, alone.
func TestUsersResetPassword(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		for _, tenant := range []string{"", "acme"} {
			app.Token(tenant, "other@example.com")
			app.Token(tenant, "ada@example.com")
			arguments := []string{"users", "reset-password", " ADA@example.com"}
			if tenant != "" {
				arguments = append(arguments, "--tenant", tenant)
			}

			text := settings.Command(t, arguments...).RequireCode(t, 0)
			require.Regexp(t, `^mtpw_[A-Za-z0-9_-]{64}\n$`, text.Stdout)
			require.Contains(t, text.Stderr, "for a new password of ada@example.com\n")
			require.NotContains(t, text.Stderr, strings.TrimSpace(text.Stdout)[5:])

			outcome := settings.Command(t, append(arguments, "--json")...).RequireCode(t, 0)
			view := testkit.Decode[resetView](t, outcome)
			require.Equal(t, "ada@example.com", view.Email)
			require.EqualValues(t, 2, view.UserID)
			require.WithinDuration(t, time.Now().Add(time.Hour), view.ExpiresAt, time.Minute)
			if tenant == "" {
				require.Nil(t, view.Tenant)
			} else {
				require.Equal(t, tenant, *view.Tenant)
			}
			require.NotContains(t, outcome.Stderr, "mtpw_")
			requireNoReset(t, app, strings.TrimSpace(text.Stdout))
			requireReset(t, app, view.Token)
			requireNewPassword(t, app, tenant, "ada@example.com")
			require.Equal(t, http.StatusOK, app.Login(tenant, "other@example.com").Code)
		}
	})
}

func TestUsersResetPasswordRefuses(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Organization(core, "globex")
		app.Token("acme", "grace@example.com")
		settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)
		for command, says := range map[string]string{
			"nobody@example.com":                `no user at the core has the address "nobody@example.com"`,
			"grace@example.com":                 "no user at the core",
			"nobody@example.com --tenant acme":  `no user at tenant "acme"`,
			"grace@example.com --tenant nobody": `tenant "nobody": Tenant not found`,
			"grace@example.com --tenant Acme":   `tenant "Acme": `,
			"ada@example.com --tenant=":         `tenant "": `,
			"ada@example.com --tenant globex":   `tenant "globex": Tenant is suspended`,
			"ada@example.com --tenant acme":     "their password is the core's: reset it there, without --tenant",
		} {
			outcome := settings.Command(t, append([]string{"users", "reset-password"}, strings.Fields(command)...)...).RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, says, command)
			require.Equal(t, 1, strings.Count(outcome.Stderr, "\n")-strings.Count(outcome.Stderr, "level="), outcome.Stderr)
			require.Empty(t, outcome.Stdout)
		}
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM password_resets"))

		settings.Exec(t, settings.CoreName(), "UPDATE core_users SET is_active = FALSE")
		deactivated := settings.Command(t, "users", "reset-password", "ada@example.com").RequireCode(t, 0)
		require.Contains(t, deactivated.Stderr, "deactivated: not before they are active again")
		requireNoReset(t, app, strings.TrimSpace(deactivated.Stdout))
	})
}
