package tests_test

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth"
	"multitenant/tests/testkit"
)

// TestOnePasswordHasOneCount: the owner of organizations enters their tenants with the
// password of the core. Guesses at it count together, wherever they are made.
func TestOnePasswordHasOneCount(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		var compared atomic.Int64
		settings.Limits = generous()
		settings.Passwords = auth.PasswordOptions{Cost: 4, OnCompare: func() { compared.Add(1) }}
		app := testkit.Start(t, settings)
		owner := ownerOf(t, app)
		grace := app.Token("", "grace@example.com")
		app.Organization(grace, "initech")
		app.Register("initech", "ada@example.com")

		compared.Store(0)
		doors := []testkit.Request{
			loggingIn("", "ada@example.com", "a wrong password"),
			loggingIn("acme", " ADA@example.com", "a wrong password"),
			loggingIn("globex", "ada@example.com", "a wrong password"),
			change(owner.core.access, "a wrong password", newPassword),
			change(owner.acme.access, "a wrong password", newPassword),
		}
		counted := testkit.Count(testkit.TryAtOnce(t, []*testkit.App{app}, slices.Repeat(doors, 6)))
		require.EqualValues(t, 10, compared.Load())
		require.Equal(t, 10, counted[http.StatusUnauthorized]+counted[http.StatusBadRequest], "%v", counted)
		require.Equal(t, 20, counted[http.StatusTooManyRequests], "%v", counted)
		for _, tenant := range []string{"", "acme", "globex"} {
			requireTooMany(t, app, app.Login(tenant, "ada@example.com"), "too_many_attempts", 1)
		}
		require.EqualValues(t, 10, compared.Load())
		require.Equal(t, http.StatusOK, app.Login("initech", "ada@example.com").Code, "another user with the same address")
	})
}
