package tests_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// TestTheGateIsNotTheLastWord: a change goes by what its maker and its target are
// when it is made, whatever they were when the gate let it through.
func TestTheGateIsNotTheLastWord(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		lease, release, err := app.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		defer release()
		rename := func(tenantUser *models.TenantUser) []string {
			name := "Changed"
			tenantUser.FullName = &name
			return []string{"full_name"}
		}
		for state, kind := range map[string]models.Kind{
			"role = 'member'":   models.KindRoleRequired,
			"is_active = false": models.KindInvalidToken,
			"id = 999":          models.KindUserNotFound,
		} {
			undo := "UPDATE tenant_users SET role = 'admin', is_active = true, id = " + strconv.Itoa(s.admin.id) + " WHERE email = 'alan@example.com'"
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"), "DELETE FROM sessions WHERE user_id = "+strconv.Itoa(s.admin.id),
				"UPDATE tenant_users SET "+state+" WHERE email = 'alan@example.com'")
			made := models.TenantUser{Account: models.NewAccount("new@example.com", nil), Role: models.RoleMember}
			byAdmin := func() *models.Event { return (&models.Event{}).By(&models.Account{ID: int64(s.admin.id)}) }
			_, changed := models.ChangeTenantUser(t.Context(), lease.DB, byAdmin(), int64(s.member.id), rename)
			removed := models.RemoveTenantUser(t.Context(), lease.DB, byAdmin(), int64(s.member.id))
			for _, err := range []error{
				models.CreateTenantUser(t.Context(), lease.DB, byAdmin(), &made), changed, removed,
			} {
				require.True(t, models.IsKind(err, kind), "%s: %v", state, err)
			}
			app.Settings.Exec(t, app.Settings.DatabaseName("acme"), undo)
		}
		require.Equal(t, 3, usersOf(t, app, "acme"))
		require.Contains(t, app.Get(s.member.path, s.owner.tokens.access).Raw, `"full_name":null`)
	})
}

// TestTheGateLooksAgain after what took long, and lets nobody prepare who may not.
func TestTheGateLooksAgain(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		s := staffOf(t, app)
		var meanwhile func()
		prepared, served := 0, 0
		gate := &middleware.Gate{Core: app.Tenants.Core(), Tenants: app.Tenants, Tokens: app.TokenKit}
		router := gin.New()
		router.Use(middleware.Log(slog.New(slog.DiscardHandler)), middleware.Errors())
		router.POST("/", gate.ManagingAfter(func(*gin.Context, models.Slug, *models.TenantUser) (middleware.TenantHandler, error) {
			prepared++
			meanwhile()
			return func(*gin.Context, *tenants.Tenant, *models.TenantUser) error { served++; return nil }, nil
		}))
		ask := func(by tenantUser) string {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
			request.Header.Set("Authorization", "Bearer "+by.tokens.access)
			answer := httptest.NewRecorder()
			router.ServeHTTP(answer, request)
			return answer.Body.String()
		}
		require.Contains(t, ask(s.member), `"code":"role_required"`)
		require.Zero(t, prepared)

		meanwhile = func() {}
		require.Empty(t, ask(s.admin))
		meanwhile = func() { app.Put(s.admin.path, s.owner.tokens.access, testkit.JSON{"role": "member"}) }
		require.Contains(t, ask(s.admin), `"code":"role_required"`)
		meanwhile = func() { app.Put(organizationsPath+"acme", s.core, testkit.JSON{"is_active": false}) }
		require.Contains(t, ask(s.owner), `"code":"tenant_suspended"`)
		require.Equal(t, []int{3, 1}, []int{prepared, served})
	})
}
