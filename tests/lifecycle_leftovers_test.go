package tests_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tenants"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// TestForeignDatabaseInTheWay: one that bears the name of a new tenant is not
// ours to use, whatever is in it.
func TestForeignDatabaseInTheWay(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := &pair{App: testkit.Start(t, settings)}
		p.owner = p.Token("", "ada@example.com")
		foreign := settings.DatabaseName("initech")
		settings.CreateDatabase(t, foreign)
		settings.Exec(t, foreign, "CREATE TABLE tenant_users AS SELECT 1 AS id, 'bill@example.com' AS email")
		before := settings.Dump(t, foreign)

		p.requireOccupied(t, "initech")

		require.Contains(t, p.Log.String(), "not ours")
		require.Equal(t, before, settings.Dump(t, foreign))
		settings.RequireTidy(t, foreign)
		settings.DropDatabase(t, foreign)
		p.Token("initech", "hank@example.com")
	})
}

// TestForeignFileInTheWay: one that is no database at all, damaged or
// encrypted, is somebody's too.
func TestForeignFileInTheWay(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	app := testkit.Start(t, settings)
	file, precious := settings.File(settings.DatabaseName("acme")), bytes.Repeat([]byte("somebody's own "), 1000)
	require.NoError(t, os.WriteFile(file, precious, 0o600))

	app.Register("acme", "eve@example.com").RequireProblem(app, 400, "invalid_tenant", "Invalid tenant name")
	app.CreateOrganization(app.Token("", "ada@example.com"), "acme").
		RequireProblem(app, 400, "slug_taken", "Organization slug already exists")

	kept, err := os.ReadFile(file)
	require.NoError(t, err, "somebody else's file is gone")
	require.Equal(t, precious, kept)
	require.Contains(t, app.Log.String(), "not ours")
}

// TestDroppingIsFinished: a process was killed after it had removed the file of
// a deleted tenant, and before it removed the log beside it, which holds rows.
func TestDroppingIsFinished(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	app := testkit.Start(t, settings)
	app.Token("acme", "grace@example.com")
	app.Close()
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting'")
	file := settings.File(settings.DatabaseName("acme"))
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(file+"-wal", []byte("grace"), 0o600))

	app = testkit.Start(t, settings)

	awaitUnfinished(t, &settings, 0)
	left, err := filepath.Glob(filepath.Join(settings.Folder(), "*acme*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Zero(t, tenantsOf(t, app, "acme"))
}

// TestDroppingIsFinishedOnPostgres: the server died in the middle of DROP
// DATABASE. It marks what is left as invalid, and lets nobody in.
func TestDroppingIsFinishedOnPostgres(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	for _, slug := range []string{"acme", "globex"} {
		app.Token(slug, "grace@example.com")
	}
	app.Close()
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'acme'",
		"UPDATE tenants SET status = 'undoing' WHERE slug = 'globex'")
	admin, err := pgx.Connect(t.Context(), pgtest.Server(t))
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "UPDATE pg_database SET datconnlimit = -2 WHERE datname IN ($1, $2)",
		settings.DatabaseName("acme"), settings.DatabaseName("globex"))
	require.NoError(t, errors.Join(err, admin.Close(t.Context())))

	app = testkit.Start(t, settings)

	awaitUnfinished(t, &settings, 0)
	require.Empty(t, settings.Databases(t))
	require.Zero(t, tenantsOf(t, app, "acme"))
	app.Token("acme", "grace@example.com")
}

// TestManyWaitForTheirMigration: tenants that cannot be migrated for now, more
// of them than may migrate at once, leave room for the others.
func TestManyWaitForTheirMigration(t *testing.T) {
	t.Parallel()
	settings := nextRelease(testkit.Fresh(t, testkit.Postgres), createTable(notesID, "notes"))
	app := testkit.Start(t, settings)
	app.Token("seed", "grace@example.com")
	healthy := app.Token("healthy", "hank@example.com")
	app.Close()
	const makingConnections, maxMigrating = 4, 2
	stuck := settings.CopyTenant(t, "seed", "grace@example.com", makingConnections+maxMigrating+1)
	settings.Exec(t, settings.CoreName(),
		"UPDATE tenants SET schema_version = '"+database.LatestID(migrations.Tenant())+"' WHERE slug LIKE 'seed-%'")
	for _, one := range stuck {
		holder, err := settings.SQL(t, settings.DatabaseName(one.Slug)).Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = holder.Close() })
		for _, statement := range []string{
			"DELETE FROM schema_migrations WHERE id = '" + notesID + "'", "DROP TABLE notes",
			"BEGIN", "LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE",
		} {
			_, err := holder.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
	}

	app = testkit.Start(t, settings)
	waiting := repeat(len(stuck), func(i int) testkit.Request {
		return testkit.Request{
			Method: http.MethodPost, Path: "/api/auth/login", Tenant: stuck[i].Slug,
			Body: testkit.JSON{"email": stuck[i].Email, "password": testkit.Password},
		}
	})
	answered := make(chan map[int]int, 1)
	go func() { answered <- testkit.Count(testkit.TryAtOnce(t, []*testkit.App{app}, waiting)) }()

	for answers := map[int]int(nil); answers == nil; {
		select {
		case answers = <-answered:
			require.Equal(t, map[int]int{http.StatusServiceUnavailable: len(stuck)}, answers)
		case <-time.After(10 * breath): // while they wait
			me := app.Get("/api/users/me", healthy)
			require.Equal(t, http.StatusOK, me.Code, me.Raw)
		}
	}
	app.Token("brand-new", "ada@example.com")
}

// TestLocksAreLeftForNewTenants: with the fewest connections this process may hold three
// locks. Migrations and a removal that stand still leave one for new tenants, and
// migrations alone leave one for the stock of spares.
func TestLocksAreLeftForNewTenants(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	settings.Database.MaxConnections = database.MinConnections
	app := testkit.Start(t, settings)
	behind := []string{"acme", "globex"}
	for _, slug := range append(behind, "initech") {
		app.Token(slug, "ada@example.com")
	}
	app.Close()
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'initech'")
	removing, remove := standAt(&settings, tenants.StepDropped)
	defer remove()
	migrating, goOn := make(chan struct{}, len(behind)), make(chan struct{})
	migrate := sync.OnceFunc(func() { close(goOn) })
	defer migrate()
	settings = nextRelease(settings, &gormigrate.Migration{ID: notesID, Migrate: func(tx *gorm.DB) error {
		var users int64
		if err := tx.Table("tenant_users").Count(&users).Error; err != nil || users == 0 {
			return err
		}
		migrating <- struct{}{}
		<-goOn
		return nil
	}})
	settings.Spares = 1
	app = testkit.Start(t, settings)
	<-removing
	var logins sync.WaitGroup
	for _, slug := range behind {
		logins.Go(func() { app.Login(slug, "ada@example.com") })
	}
	<-migrating

	for i := range 2 {
		app.Token(fmt.Sprintf("brand-new-%d", i), "ada@example.com")
	}
	remove()
	awaitSpares(t, &settings)

	require.Empty(t, migrating, "two migrations at once leave no lock")
	migrate()
	logins.Wait()
}

// standAt makes the first to come to that step stand still until goOn is called. The test
// must call it before it ends.
func standAt(settings *testkit.Settings, at tenants.Step) (standing <-chan struct{}, goOn func()) {
	stands, ends := make(chan struct{}), make(chan struct{})
	var stood atomic.Bool
	settings.OnStep = func(step tenants.Step) {
		if step == at && stood.CompareAndSwap(false, true) {
			close(stands)
			<-ends
		}
	}
	return stands, sync.OnceFunc(func() { close(ends) })
}

// TestServingBesideLeftovers: the program serves while it removes what a dead process
// has left, and one removal that stands still does not hold up the others.
func TestServingBesideLeftovers(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		for i := range 4 {
			app.Organization(core, fmt.Sprintf("acme-%d", i))
		}
		app.Close()
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting'")
		standing, goOn := standAt(&settings, tenants.StepDropped)
		defer goOn()

		app = testkit.Start(t, settings)

		<-standing
		app.Organization(core, "globex")
		requireWhole(t, app, "globex")
		awaitUnfinished(t, &settings, 1)
		goOn()
		awaitUnfinished(t, &settings, 0)
		settings.RequireTidy(t)
	})
}

// awaitUnfinished waits until so many tenants are left that are not finished.
func awaitUnfinished(t *testing.T, settings *testkit.Settings, want int) {
	t.Helper()
	testkit.Await(t, 20*time.Second, func() error {
		left := testkit.Scalar[int](t, settings, settings.CoreName(), "SELECT count(*) FROM tenants WHERE status NOT IN ('ready', 'spare')")
		if left != want {
			return fmt.Errorf("%d unfinished tenants", left)
		}
		return nil
	})
}
