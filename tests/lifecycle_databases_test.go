package tests_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// pair is two tenants of Ada's: something is done to the database of acme, and
// globex must not notice.
type pair struct {
	*testkit.App

	owner        string
	acme, globex string // tokens of Grace and of Hank
	acmeDB       string
	globexDB     string
}

func newPair(t *testing.T, settings testkit.Settings) *pair {
	t.Helper()
	p := &pair{App: testkit.Start(t, settings)}
	p.owner = p.Token("", "ada@example.com")
	p.Organization(p.owner, "acme")
	p.Organization(p.owner, "globex")
	p.acme, p.globex = p.Token("acme", "grace@example.com"), p.Token("globex", "hank@example.com")
	p.acmeDB, p.globexDB = settings.DatabaseName("acme"), settings.DatabaseName("globex")
	return p
}

// scarcePair is newPair where PostgreSQL, like SQLite, lets a tenant have few connections.
func scarcePair(t *testing.T, settings *testkit.Settings) *pair {
	t.Helper()
	settings.Database.MaxConnections = database.MinConnections
	return newPair(t, *settings)
}

// requireUnavailable requires that a tenant is out of service for everybody,
// in every way, and that it is not made anew.
func (p *pair) requireUnavailable(t *testing.T, app *testkit.App, slug, member string) {
	t.Helper()
	for range 2 { // with what follows, more often than a tenant of scarcePair may have connections
		answer := app.Get("/api/users/me", member)
		answer.RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
	}
	app.Login(slug, "ada@example.com").RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
	app.Login(slug, "hank@example.com").RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
	app.Register(slug, "new@example.com").RequireProblem(app, 503, "tenant_unavailable", "Tenant is unavailable")
	require.Regexp(t, "level=(WARN|ERROR) .*tenant="+slug+" .*error=", app.Log.String())
}

func (p *pair) requireServed(t *testing.T, app *testkit.App, slug, member, email string) {
	t.Helper()
	me := app.Get("/api/users/me", member)
	require.Equal(t, http.StatusOK, me.Code, me.Raw)
	require.Equal(t, email, me.Text(app, "email"))
	app.TokenOf(slug, email)
}

// requireReplaceable requires that the owner can delete acme and make it again.
func (p *pair) requireReplaceable(t *testing.T) {
	t.Helper()
	deleted := p.Delete("/api/organizations/acme", p.owner)
	require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	p.Settings.RequireTidy(t)
	p.Get("/api/users/me", p.acme).RequireProblem(p.App, 401, "invalid_token", "Could not validate credentials")
	p.Organization(p.owner, "acme")
	p.TokenOf("acme", "ada@example.com")
	p.Login("acme", "grace@example.com").RequireProblem(p.App, 401, "invalid_credentials", "Incorrect email or password")
	p.Get("/api/users/me", p.acme).RequireProblem(p.App, 401, "invalid_token", "Could not validate credentials")
	p.Settings.RequireTidy(t)
}

// requireLeftAlone requires that the owner can delete acme while somebody else's
// database has its place, which nobody may touch but whose it is.
func (p *pair) requireLeftAlone(t *testing.T) {
	t.Helper()
	before := p.Settings.Dump(t, p.acmeDB)
	deleted := p.Delete("/api/organizations/acme", p.owner)
	require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	p.Settings.RequireTidy(t, p.acmeDB)
	require.Contains(t, p.Log.String(), "left alone")
	p.requireOccupied(t, "acme")
	require.Equal(t, before, p.Settings.Dump(t, p.acmeDB), "another's database was touched")
	p.Settings.DropDatabase(t, p.acmeDB)
	p.Organization(p.owner, "acme")
	p.TokenOf("acme", "ada@example.com")
}

func TestLostDatabase(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		p := scarcePair(t, &settings)
		settings.DropDatabase(t, p.acmeDB)

		p.requireUnavailable(t, p.App, "acme", p.acme)
		p.requireUnavailable(t, testkit.Start(t, settings), "acme", p.acme)
		require.Equal(t, []string{p.globexDB}, settings.Databases(t), "a lost database is made anew")
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
		p.requireReplaceable(t)
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	})
}

// TestSwappedDatabases: each is told apart by its stamp, also where it was open.
func TestSwappedDatabases(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		p := scarcePair(t, &settings)
		swap := func() {
			settings.RenameDatabase(t, p.acmeDB, settings.DatabaseName("swapping"))
			settings.RenameDatabase(t, p.globexDB, p.acmeDB)
			settings.RenameDatabase(t, settings.DatabaseName("swapping"), p.globexDB)
		}
		swap()

		p.requireUnavailable(t, p.App, "acme", p.acme)
		p.requireUnavailable(t, p.App, "globex", p.globex)
		fresh := testkit.Start(t, settings)
		p.requireUnavailable(t, fresh, "acme", p.acme)
		p.requireUnavailable(t, fresh, "globex", p.globex)
		swap()
		for _, app := range []*testkit.App{p.App, fresh} {
			p.requireServed(t, app, "acme", p.acme, "grace@example.com")
			p.requireServed(t, app, "globex", p.globex, "hank@example.com")
		}
	})
}

// TestReplacedDatabase: somebody has dropped a tenant's database and made one of
// the same name, with the same tables and people of their own, while ours is open.
func TestReplacedDatabase(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := scarcePair(t, &settings)
		settings.DropDatabase(t, p.acmeDB)
		settings.CreateDatabase(t, p.acmeDB)
		fresh := testkit.Start(t, settings)

		for _, statement := range []string{
			"CREATE TABLE tenant_users AS SELECT 2 AS id, 'grace@example.com' AS email, 'not yours' AS full_name",
			"CREATE TABLE tenant_stamp (tenant_id varchar)",
			"INSERT INTO tenant_stamp VALUES ('00000000-0000-4000-8000-000000000000')",
		} {
			settings.Exec(t, p.acmeDB, statement)
			p.requireUnavailable(t, p.App, "acme", p.acme)
			p.requireUnavailable(t, fresh, "acme", p.acme)
		}
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
		p.requireLeftAlone(t)
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	})
}

// requireOccupied requires that nobody can make a tenant of that slug.
func (p *pair) requireOccupied(t *testing.T, slug string) {
	t.Helper()
	p.CreateOrganization(p.owner, slug).RequireProblem(p.App, 400, "slug_taken", "Organization slug already exists")
	p.Register(slug, "hank@example.com").RequireProblem(p.App, 400, "invalid_tenant", "Invalid tenant name")
	p.Login(slug, "hank@example.com").RequireProblem(p.App, 401, "invalid_credentials", "Incorrect email or password")
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, file string){
		"noise": func(t *testing.T, file string) {
			t.Helper()
			noise := make([]byte, 64<<10)
			for i := range noise {
				noise[i] = byte(i * 7)
			}
			require.NoError(t, os.WriteFile(file, noise, 0o600))
		},
		"empty": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Truncate(file, 0))
		},
		"cut short": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Truncate(file, 5000))
		},
		"a folder": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Mkdir(file, 0o700))
		},
		"a link": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Rename(file, file+"-elsewhere"))
			require.NoError(t, os.Symlink(file+"-elsewhere", file))
			t.Cleanup(func() { require.NoError(t, os.Remove(file+"-elsewhere")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := testkit.Fresh(t, testkit.SQLite)
			p := newPair(t, settings)
			p.Close() // so that the log beside the file is gone
			damage(t, settings.File(p.acmeDB))

			p.App = testkit.Start(t, settings)
			p.requireUnavailable(t, p.App, "acme", p.acme)
			p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
			if name == "noise" || name == "cut short" {
				p.requireReplaceable(t)
			} else { // it may be somebody's
				require.Equal(t, http.StatusNoContent, p.Delete("/api/organizations/acme", p.owner).Code)
				p.requireOccupied(t, "acme")
			}
			p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
		})
	}
}

// TestProvisioningUndoesItself: whatever goes wrong while a tenant is made,
// nothing is left of it, and the slug is free.
func TestProvisioningUndoesItself(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context, *tenants.Tenant, models.Role) error { return broken }
	twice := func(ctx context.Context, tenant *tenants.Tenant, _ models.Role) error {
		user := models.TenantUser{Account: models.NewAccount("hank@example.com", nil)}
		again := user
		return errors.Join(models.CreateUser(ctx, tenant.DB, &user), models.CreateUser(ctx, tenant.DB, &again))
	}
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		register := func(do tenants.Registration) func() error {
			return func() error { return app.Tenants.Register(t.Context(), "acme", tenants.Newcomer{}, do) }
		}
		for name, provision := range map[string]func() error{
			"seed fails":   register(fail),
			"seed repeats": register(twice),
			"rows of core fail": func() error { // the owner does not exist
				org := models.Organization{Name: "Acme", Slug: "acme", IsActive: true, Registration: models.RegistrationOpen}
				event := models.NewOperatorEvent(models.ActionOrganizationCreated)
				err := app.Tenants.CreateOrganization(t.Context(), event, &org, &models.CoreUser{}, tenants.Allowance{})
				require.ErrorIs(t, err, gorm.ErrForeignKeyViolated)
				return err
			},
		} {
			require.Error(t, provision(), name)
			require.Zero(t, tenantsOf(t, app, "acme"), name)
			require.Empty(t, app.Settings.Databases(t), name)
		}
		app.Token("acme", "hank@example.com")
		app.Settings.RequireTidy(t)
	})
}

// TestProvisioningOfOneWhoLeaves: the client is gone in the middle; the tenant
// is whole or gone, and not half-made.
func TestProvisioningForOneWhoLeaves(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		type client struct {
			leaves tenants.Step
			leave  context.CancelFunc
		}
		var current atomic.Pointer[client] // undoing goes on behind the client's back
		settings.OnStep = func(step tenants.Step) {
			if c := current.Load(); step == c.leaves {
				c.leave()
			}
		}
		app := testkit.Start(t, settings)
		for _, step := range stepsOfMaking {
			ctx, cancel := context.WithCancel(t.Context())
			current.Store(&client{leaves: step, leave: cancel})
			err := app.Tenants.Register(ctx, "acme", tenants.Newcomer{}, func(ctx context.Context, tenant *tenants.Tenant, _ models.Role) error {
				user := models.TenantUser{Account: models.NewAccount("hank@example.com", nil)}
				return models.CreateUser(ctx, tenant.DB, &user)
			})
			cancel()
			settings.RequireTidy(t)
			require.Equal(t, err == nil, tenantsOf(t, app, "acme") == 1, step)
			if err == nil {
				require.Equal(t, 1, usersOf(t, app, "acme"))
				tenant, release, err := app.Tenants.Acquire(t.Context(), "acme")
				require.NoError(t, err)
				release()
				event := models.NewOperatorEvent(models.ActionOrganizationDeleted).AboutTenant("acme")
				_, err = app.Tenants.MarkDeleted(t.Context(), tenant.ID, event)
				require.NoError(t, err)
				require.NoError(t, app.Tenants.FinishDeletion(t.Context(), tenant.ID))
			}
		}
	})
}
