package tests_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/commands"
	"multitenant/tests/testkit"
)

// fillRegistry adds ready tenants that have no database, each with an organization. Three
// belong to one core user.
func fillRegistry(tb testing.TB, settings *testkit.Settings, rows int) {
	tb.Helper()
	series, id := "SELECT i FROM generate_series(1, %d) i", "gen_random_uuid()"
	if settings.Engine == testkit.SQLite {
		series = "WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < %d) SELECT i FROM series"
		id = "lower(substr(r, 1, 8) || '-' || substr(r, 9, 4) || '-4' || substr(r, 14, 3) || '-8' || substr(r, 18, 3) || '-' || substr(r, 21, 12))"
	}
	numbers := func(n int) string { return "(" + fmt.Sprintf(series, n) + ")" }
	random := numbers(rows) + " n"
	if settings.Engine == testkit.SQLite {
		random = "(SELECT i, hex(randomblob(16)) AS r FROM " + numbers(rows) + ") n"
	}
	version := "(SELECT max(id) FROM schema_migrations)"
	settings.Exec(tb, settings.CoreName(),
		"INSERT INTO core_users (email, email_canonical, hashed_password, is_active) SELECT "+
			"'user' || i || '@example.com', 'user' || i || '@example.com', '', TRUE FROM "+numbers(rows/3+1)+" n",
		"INSERT INTO tenants (id, slug, database_name, status, schema_version, created_at, updated_at) SELECT "+id+
			", 'row-' || i, '"+settings.Database.TenantPrefix+"row-' || i, 'ready', "+version+", CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM "+random,
		"INSERT INTO organizations (name, slug, owner_id, is_active, tenant_id) SELECT slug, slug, "+
			"(SELECT id FROM core_users WHERE email_canonical = 'user' || (CAST(substr(slug, 5) AS integer) / 3 + 1) || '@example.com'), "+
			"TRUE, id FROM tenants WHERE slug LIKE 'row-%'",
	)
}

// fillSlugs gives each tenant of fillRegistry an alias, and lets as many slugs rest.
func fillSlugs(tb testing.TB, settings *testkit.Settings) {
	tb.Helper()
	settings.Exec(tb, settings.CoreName(),
		"INSERT INTO slug_aliases (slug, tenant_id, created_at) SELECT 'old-' || slug, id, CURRENT_TIMESTAMP FROM tenants WHERE slug LIKE 'row-%'",
		"INSERT INTO resting_slugs (slug, since) SELECT 'gone-' || slug, CURRENT_TIMESTAMP FROM tenants WHERE slug LIKE 'row-%'",
	)
	if settings.Engine == testkit.Postgres {
		settings.Exec(tb, settings.CoreName(), "ANALYZE")
	}
}

// registryTables are the tables of core that grow with the number of tenants.
var registryTables = regexp.MustCompile(`\b(tenants|organizations|slug_aliases|resting_slugs|core_users)\b`)

// statementLog keeps the statements that an application runs on core, once each.
type statementLog struct {
	mu    sync.Mutex // guards found
	found map[string]string
}

// watch notes the statements of core.
func (l *statementLog) watch(core *gorm.DB) {
	note := func(db *gorm.DB) {
		statement := db.Statement.SQL.String()
		if db.DryRun || !registryTables.MatchString(statement) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.found[statement] = db.Explain(statement, db.Statement.Vars...)
	}
	callbacks := core.Callback()
	_ = callbacks.Query().After("gorm:query").Register("test:note", note) // a statement that is not noted is missed below
	_ = callbacks.Row().After("gorm:row").Register("test:note", note)
	_ = callbacks.Update().After("gorm:update").Register("test:note", note)
	_ = callbacks.Delete().After("gorm:delete").Register("test:note", note)
	_ = callbacks.Raw().After("gorm:raw").Register("test:note", note)
}

func (l *statementLog) statements() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.found))
}

// TestNoStatementReadsTheWholeRegistry: with thousands of tenants, each statement that a
// server runs on core finds its rows by an index, or reads a page.
func TestNoStatementReadsTheWholeRegistry(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings.Spares, settings.SlugRest, settings.AuditKeep = 1, time.Hour, 30*24*time.Hour
		earlier := testkit.Start(t, settings)
		awaitSpares(t, &settings)
		earlier.Close() // migrations may read all that there is
		fillRegistry(t, &settings, 3000)
		fillSlugs(t, &settings)
		log := &statementLog{found: map[string]string{}}
		settings.OnCore = log.watch
		app := testkit.Start(t, settings)

		owner := app.Token("", "ada@example.com")
		app.Organization(owner, "acme")
		app.Token("acme", "grace@example.com")
		app.Token("globex", "hank@example.com")
		require.Equal(t, http.StatusOK, app.Get("/api/organizations/", owner).Code)
		require.Equal(t, http.StatusOK, app.Put("/api/organizations/acme", owner, testkit.JSON{"slug": "acme2"}).Code)
		require.Equal(t, http.StatusOK, app.Get("/api/organizations/acme", owner).Code)
		require.Equal(t, http.StatusNoContent, app.Delete("/api/organizations/acme", owner).Code)

		statements := log.statements()
		for _, part := range []string{"'spare'", "database_name IN", "ORDER BY created_at", "slug_aliases", "since <="} {
			require.Contains(t, strings.ReplaceAll(strings.Join(statements, "\n"), `"`, "'"), part, "the background has not run")
		}
		for _, statement := range statements {
			if strings.HasPrefix(statement, "INSERT") {
				continue
			}
			plan := planOf(t, &settings, statement)
			require.False(t, readsAll(plan), "%s\n%s", statement, strings.Join(plan, "\n"))
		}
		requireWrittenWhileRead(t, &settings)
	})
}

// requireWrittenWhileRead requires that a listing is written before all of it is read: told
// to stop at its first byte, the command reads no more.
func requireWrittenWhileRead(t *testing.T, settings *testkit.Settings) {
	t.Helper()
	for _, arguments := range [][]string{{"tenants", "list", "--json"}, {"tenants", "list"}} {
		ctx, stop := context.WithCancel(t.Context())
		output := &stopper{stop: stop}
		code := commands.Run(ctx, &commands.Invocation{Args: arguments, Environ: settings.Environ(), Stdout: output, Stderr: io.Discard})
		require.Equal(t, 1, code)
		require.NotContains(t, output.text.String(), "\n]\n", "the array is not closed")
		require.Less(t, strings.Count(output.text.String(), "row-"), 3000)
	}
}

// stopper is an output that stops the command which writes to it.
type stopper struct {
	stop func()
	text strings.Builder
}

// Write stops the command.
func (s *stopper) Write(text []byte) (int, error) {
	s.stop()
	return s.text.Write(text)
}

// planOf returns how the engine would run a statement, a step a line.
func planOf(t *testing.T, settings *testkit.Settings, statement string) []string {
	t.Helper()
	explain := "EXPLAIN (COSTS OFF) "
	if settings.Engine == testkit.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	return strings.Split(settings.Query(t, settings.CoreName(), explain+statement), "\n")
}

// isBounded matches what may be read as a whole: a constant, and the index of the few tenants
// that are neither ready nor suspended.
var isBounded = regexp.MustCompile(`SCAN CONSTANT ROW|ix_tenants_unsettled`)

// readsAll reports whether a plan reads a table of the registry, or an index, as a whole.
func readsAll(plan []string) bool {
	sorts := strings.Contains(strings.Join(plan, "\n"), "TEMP B-TREE")
	for i, step := range plan {
		around := strings.Join(plan[max(i-1, 0):min(i+2, len(plan))], "\n")
		isPage := strings.Contains(around, "Limit") || strings.Contains(step, "SCAN tenants USING INDEX sqlite_autoindex_tenants_1") && !sorts
		switch {
		case isBounded.MatchString(step) || isPage && !strings.Contains(step, "Seq Scan"):
		case strings.Contains(step, "Seq Scan on") && registryTables.MatchString(step),
			strings.Contains(step, "detail=SCAN"),
			strings.Contains(step, "Scan using") && !strings.Contains(around, "Index Cond"):
			return true
		}
	}
	return false
}
