package tests_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// BenchmarkShowProfile is the hot path: GET /api/users/me in a tenant, over
// HTTP. "bare" is the same query on the same database by net/http and pgx alone,
// without tokens, tenants, limits or a log: what the machine could do at best.
func BenchmarkShowProfile(b *testing.B) {
	eachEngine(b, func(b *testing.B, app *testkit.App) {
		token := app.Token("acme", "ada@example.com")
		hammer(b, app.URL+"/api/users/me", token)
	})
	b.Run("bare", func(b *testing.B) {
		settings := testkit.Fresh(b, testkit.Postgres)
		app := testkit.Start(b, settings)
		app.Token("acme", "ada@example.com")
		hammer(b, newBareServer(b, settings)+"/api/users/me", "")
	})
}

// BenchmarkShowProfileMeasured is BenchmarkShowProfile with metrics.
func BenchmarkShowProfileMeasured(b *testing.B) {
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := testkit.Fresh(b, engine)
			settings.Quiet, settings.Metrics = true, true
			app := testkit.Start(b, settings)
			hammer(b, app.URL+"/api/users/me", app.Token("acme", "ada@example.com"))
		})
	}
}

// BenchmarkProvision is POST /api/organizations/ without HTTP: a database made,
// migrated, stamped and seeded.
func BenchmarkProvision(b *testing.B) {
	eachEngine(b, func(b *testing.B, app *testkit.App) {
		for i := 0; b.Loop(); i++ {
			event := models.NewOperatorEvent(models.ActionOrganizationCreated)
			require.NoError(b, app.Tenants.CreateTenant(b.Context(), event, models.Slug(fmt.Sprintf("tenant-%d", i))))
		}
	})
}

// BenchmarkAcquireCold uses a tenant's database that had to be closed for
// others, or on PostgreSQL its connection: each in turn of one more than may be
// open.
func BenchmarkAcquireCold(b *testing.B) {
	eachEngine(b, func(b *testing.B, app *testkit.App) {
		slugs := make([]models.Slug, 1+min(app.Backend.MaxOpen(), 70))
		for i := range slugs {
			slugs[i] = models.Slug(fmt.Sprintf("tenant-%d", i))
			app.Register(string(slugs[i]), "ada@example.com")
		}
		for i := 0; b.Loop(); i++ {
			tenant, release, err := app.Tenants.Acquire(b.Context(), slugs[i%len(slugs)])
			require.NoError(b, err)
			require.NoError(b, tenant.DB.Exec("SELECT 1").Error)
			release()
		}
	})
}

func eachEngine(b *testing.B, bench func(b *testing.B, app *testkit.App)) {
	b.Helper()
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := testkit.Fresh(b, engine)
			settings.Quiet = true
			bench(b, testkit.Start(b, settings))
		})
	}
}

// hammer sends the same request from several clients at once.
func hammer(b *testing.B, url, token string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(client.CloseIdleConnections)
	b.ReportAllocs()
	b.SetParallelism(4)
	b.ResetTimer() // starting the application is not what is measured
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
			require.NoError(b, err)
			request.Header.Set("Authorization", "Bearer "+token)
			answer, err := client.Do(request)
			require.NoError(b, err)
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			require.Equal(b, http.StatusOK, answer.StatusCode)
		}
	})
}

// newBareServer serves the first user of the tenant acme, and returns its URL.
func newBareServer(b *testing.B, settings testkit.Settings) string {
	b.Helper()
	config, err := pgxpool.ParseConfig(settings.Database.URL)
	require.NoError(b, err)
	config.ConnConfig.Database = settings.Database.TenantPrefix + "acme"
	config.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var user struct {
			ID        int64     `json:"id"`
			Email     string    `json:"email"`
			FullName  *string   `json:"full_name"`
			IsActive  bool      `json:"is_active"`
			CreatedAt time.Time `json:"created_at"`
			Bio       *string   `json:"bio"`
			Phone     *string   `json:"phone"`
			Role      string    `json:"role"`
		}
		var rest models.TenantUser
		var epoch *int64
		err := pool.QueryRow(r.Context(), `SELECT id, email, email_canonical, hashed_password, full_name, is_active, created_at, updated_at,
			(SELECT epoch FROM sessions WHERE id = $2 AND user_id = $1), bio, phone, role, core_user_id FROM tenant_users WHERE id = $1`, 1, 1).
			Scan(&user.ID, &user.Email, &rest.EmailCanonical, &rest.HashedPassword, &user.FullName, &user.IsActive, &user.CreatedAt, &rest.UpdatedAt,
				&epoch, &user.Bio, &user.Phone, &user.Role, &rest.CoreUserID)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(user)
	}))
	b.Cleanup(server.Close)
	return server.URL
}
