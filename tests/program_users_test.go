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
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		for _, tenant := range []string{"", "acme"} {
			app.Token(tenant, "other@example.com")
			app.Token(tenant, "ada@example.com")
			arguments := []string{"users", "reset-password", " ADA@example.com"}
			if tenant != "" {
				arguments = append(arguments, "--tenant", tenant)
			}

			text := app.Settings.Command(t, arguments...).RequireCode(t, 0)
			require.Regexp(t, `^mtpw_[A-Za-z0-9_-]{64}\n$`, text.Stdout)
			require.Contains(t, text.Stderr, "for a new password of ada@example.com\n")
			require.NotContains(t, text.Stderr, strings.TrimSpace(text.Stdout)[5:])

			outcome := app.Settings.Command(t, append(arguments, "--json")...).RequireCode(t, 0)
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
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Organization(core, "globex")
		app.Token("acme", "grace@example.com")
		app.Settings.Command(t, "tenants", "suspend", "globex").RequireCode(t, 0)
		for command, says := range map[string]string{
			"nobody@example.com":                `no user at the core has the address "nobody@example.com"`,
			"grace@example.com":                 "no user at the core",
			"nobody@example.com --tenant acme":  `no user at tenant "acme"`,
			"grace@example.com --tenant nobody": `tenant "nobody": Tenant not found`,
			"grace@example.com --tenant Acme":   `tenant "Acme": `,
			"ada@example.com --tenant=":         `tenant "": `,
			"ada@example.com --tenant globex":   `owns the organization of tenant "globex"`, // which is suspended
			"ada@example.com --tenant acme":     "their password is the core's: reset it there, without --tenant",
		} {
			outcome := app.Settings.Command(t, append([]string{"users", "reset-password"}, strings.Fields(command)...)...).RequireCode(t, 1)
			require.Contains(t, outcome.Stderr, says, command)
			requireOneError(t, outcome)
			require.Empty(t, outcome.Stdout)
		}
		require.Zero(t, testkit.Scalar[int](t, &app.Settings, app.Settings.CoreName(), "SELECT count(*) FROM password_resets"))

		app.Settings.Exec(t, app.Settings.CoreName(), "UPDATE core_users SET is_active = FALSE")
		deactivated := app.Settings.Command(t, "users", "reset-password", "ada@example.com").RequireCode(t, 0)
		require.Contains(t, deactivated.Stderr, "deactivated: not before they are active again")
		requireNoReset(t, app, strings.TrimSpace(deactivated.Stdout))
	})
}

// TestUsersCreate: a user made by the operator chooses a password by a token, or has the
// one that the operator typed.
func TestUsersCreate(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("acme", "owner@example.com")
		for _, tenant := range []string{"", "acme"} {
			arguments := []string{"users", "create", " Ada@example.com", "--full-name", "Ada"}
			role := ""
			if tenant != "" {
				arguments, role = append(arguments, "--tenant", tenant, "--role", "admin"), "admin"
			}

			made := app.Settings.Command(t, arguments...).RequireCode(t, 0)
			require.Regexp(t, `^mtpw_[A-Za-z0-9_-]{64}\n$`, made.Stdout)
			require.Contains(t, made.Stderr, "user Ada@example.com is created\n")
			requireReset(t, app, strings.TrimSpace(made.Stdout))
			requireNewPassword(t, app, tenant, "ada@example.com")

			again := app.Settings.Command(t, arguments...).RequireCode(t, 1)
			require.Contains(t, again.Stderr, "Ada@example.com: Email already registered")
			require.Empty(t, again.Stdout)

			typed := append([]string{"users", "create", "typed@example.com", "--password-stdin"}, arguments[5:]...)
			require.Empty(t, app.Settings.CommandReading(t, testkit.Password+"\n", typed...).RequireCode(t, 0).Stdout)
			require.Equal(t, 200, app.Login(tenant, "typed@example.com").Code)

			users := testkit.Decode[[]userView](t, app.Settings.Command(t, append([]string{"users", "list", "--json"}, tenantFlag(tenant)...)...))
			require.Equal(t, []string{"Ada@example.com", "typed@example.com"}, []string{users[len(users)-2].Email, users[len(users)-1].Email})
			require.Equal(t, role, users[len(users)-1].Role)
		}
		for _, database := range []string{app.Settings.CoreName(), app.Settings.DatabaseName("acme")} {
			require.Equal(t, 2, testkit.Scalar[int](t, &app.Settings, database,
				"SELECT count(*) FROM audit_events WHERE action = 'user.created' AND actor = 'operator'"))
		}
	})
}

func TestUsersCreateRefuses(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	app := testkit.Start(t, settings)
	app.Token("acme", "owner@example.com")
	for arguments, says := range map[string]string{
		"nonsense":                                "the address must be an e-mail address",
		"ada@example.com --tenant=nobody":         `tenant "nobody": Tenant not found`,
		"ada@example.com --tenant=":               `tenant "": `,
		"ada@example.com --password-stdin":        "the password must have at least 8 characters",
		"ada@example.com --tenant=A --role=king":  `--role must be one of "owner","admin","member"`,
		"ada@example.com --role=admin":            "--role needs --tenant",
		"ada@example.com --json --password-stdin": "--json is for the token",
	} {
		outcome := settings.Command(t, append([]string{"users", "create"}, strings.Fields(arguments)...)...)
		require.NotZero(t, outcome.Code, arguments)
		require.Contains(t, outcome.Stderr, says, arguments)
		require.Empty(t, outcome.Stdout, arguments)
	}
	common := settings.CommandReading(t, "PassWord123\n", "users", "create", "ada@example.com", "--password-stdin").RequireCode(t, 1)
	require.Contains(t, common.Stderr, "the password must not be one of the commonest passwords")
	require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM core_users"))
}

type userView struct {
	ID        int64     `json:"id"`
	Email     string    `json:"email"`
	FullName  *string   `json:"full_name"`
	Role      string    `json:"role"`
	IsActive  bool      `json:"is_active"`
	CreatedAt time.Time `json:"created_at"`
}

func tenantFlag(tenant string) []string {
	if tenant == "" {
		return nil
	}
	return []string{"--tenant", tenant}
}

// TestUsersList reads more users than a page has, and shows no escape sequence.
func TestUsersList(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		token := app.Token("", "ada@example.com")
		require.Equal(t, 200, app.Put(profilePath, token, testkit.JSON{"full_name": "Ada\x1b[2J"}).Code)
		app.Settings.Exec(t, app.Settings.CoreName(), `INSERT INTO core_users (email, email_canonical, hashed_password, is_active, created_at, session_epoch)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
			SELECT 'u' || i, 'u' || i, '', FALSE, CURRENT_TIMESTAMP, 0 FROM n`)

		users := testkit.Decode[[]userView](t, app.Settings.Command(t, "users", "list", "--json").RequireCode(t, 0))

		require.Len(t, users, 1001)
		require.True(t, users[0].IsActive)
		require.False(t, users[1000].IsActive)
		require.Equal(t, "u1000", users[1000].Email)
		table := app.Settings.Command(t, "users", "list").RequireCode(t, 0).Stdout
		require.Equal(t, 1002, strings.Count(table, "\n"))
		require.NotContains(t, table, "\x1b")
	})
}
