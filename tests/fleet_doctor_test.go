package tests_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tests/testkit"
)

type findingJSON struct {
	Kind       string  `json:"kind"`
	Tenant     *string `json:"tenant"`
	Name       string  `json:"name"`
	Problem    string  `json:"problem"`
	Repairable bool    `json:"repairable"`
	Repaired   bool    `json:"repaired"`
}

// String says all but what is wrong.
func (f findingJSON) String() string {
	tenant := "-"
	if f.Tenant != nil {
		tenant = *f.Tenant
	}
	state := "to be decided"
	switch {
	case f.Repaired:
		state = "repaired"
	case f.Repairable:
		state = "repairable"
	}
	return fmt.Sprintf("%s of %s: %s, %s", f.Kind, tenant, f.Name, state)
}

// requireDiagnosis requires exactly these findings of doctor, and returns what
// they say.
func requireDiagnosis(t *testing.T, settings *testkit.Settings, code int, arguments string, want ...string) string {
	t.Helper()
	outcome := settings.Command(t, append([]string{"tenants", "doctor", "--json"}, strings.Fields(arguments)...)...)
	findings := testkit.Decode[[]findingJSON](t, outcome)
	found := make([]string, 0, len(findings))
	for _, finding := range findings {
		found = append(found, finding.String())
	}
	require.ElementsMatch(t, want, found, "%s\n%s", outcome.Stdout, outcome.Stderr)
	outcome.RequireCode(t, code)
	return outcome.Stdout
}

// requireRepaired requires that doctor finds these repairable, and repairs them and
// nothing else. It returns what is wrong, by finding. Doctor has examined again by
// then, and a later diagnosis proves that nothing is left.
func requireRepaired(t *testing.T, settings *testkit.Settings, found ...string) map[string]string {
	t.Helper()
	repairable, repaired := make([]string, len(found)), make([]string, len(found))
	for i, finding := range found {
		repairable[i], repaired[i] = finding+", repairable", finding+", repaired"
	}
	said := requireDiagnosis(t, settings, 1, "", repairable...)
	requireDiagnosis(t, settings, 0, "--repair", repaired...)
	problems := make(map[string]string, len(found))
	for _, finding := range testkit.Decode[[]findingJSON](t, testkit.Outcome{Stdout: said}) {
		problems[strings.TrimSuffix(finding.String(), ", repairable")] = finding.Problem
	}
	return problems
}

// requireMended is requireRepaired of one, after which doctor finds nothing.
func requireMended(t *testing.T, settings *testkit.Settings, found string) (problem string) {
	t.Helper()
	problem = requireRepaired(t, settings, found)[found]
	requireDiagnosis(t, settings, 0, "")
	return problem
}

// healthy is a pair of tenants and a spare with nothing wrong, beside a server. The
// first diagnosis of a test says so: it names all that is found.
func healthy(t *testing.T, settings *testkit.Settings) *pair {
	t.Helper()
	settings.Spares = 1
	p := newPair(t, *settings)
	awaitSpares(t, settings)
	return p
}

func TestDoctorFindsNothing(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := healthy(t, &settings)
		p.Token("initech", "grace@example.com") // made by a registration: belongs to no organization
		require.Equal(t, http.StatusOK, p.Put("/api/organizations/globex", p.owner, testkit.JSON{"is_active": false}).Code)
		awaitSpares(t, &settings)

		require.Equal(t, "[]\n", requireDiagnosis(t, &settings, 0, "--repair"))
		require.Equal(t, "nothing is wrong\n", settings.Command(t, "tenants", "doctor").RequireCode(t, 0).Stdout)
		requireDiagnosis(t, &settings, 0, "--tenant initech")
		outcome := settings.Command(t, "tenants", "doctor", "--tenant", "nobody").RequireCode(t, 1)
		require.Contains(t, outcome.Stderr, `tenant "nobody": Tenant not found`)
		require.Empty(t, outcome.Stdout)
	})
}

// What was left unfinished is finished, unless a process is at work on it.
func TestDoctorSettles(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET status = 'deleting' WHERE slug = 'acme'")
		session, err := p.Backend.Lock(t.Context(), "tenant "+idOf(t, &settings, "slug = 'acme'"))
		require.NoError(t, err)
		requireDiagnosis(t, &settings, 0, "")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET updated_at = '2020-01-02 03:04:05' WHERE slug = 'acme'")
		said := requireDiagnosis(t, &settings, 1, "--repair", "unsettled of acme: "+p.acmeDB+", repairable")
		require.Contains(t, said, "it is deleting since 2020-01-02T03:04:05Z, and a process is at work on it")
		session.Unlock()

		said = requireMended(t, &settings, "unsettled of acme: "+p.acmeDB)

		require.Contains(t, said, "it is deleting, and no process is at work on it")
		settings.RequireTidy(t)
		p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	})
}

// A database that is gone, or another's, is nobody's to mend, and nothing else
// is touched.
func TestDoctorFindsLostAndSwappedDatabases(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		lost := settings.DatabaseName("lost")
		settings.RenameDatabase(t, p.acmeDB, lost)
		want := []string{
			"database_missing of acme: " + p.acmeDB + ", to be decided", "unexplained_database of -: " + lost + ", to be decided",
		}
		requireDiagnosis(t, &settings, 1, "", want...)
		requireDiagnosis(t, &settings, 1, "--repair", want...)
		requireDiagnosis(t, &settings, 1, "--tenant acme", want[0])
		requireDiagnosis(t, &settings, 0, "--tenant globex")

		settings.RenameDatabase(t, p.globexDB, p.acmeDB)
		settings.RenameDatabase(t, lost, p.globexDB)
		said := requireDiagnosis(t, &settings, 1, "--repair",
			"stamp of acme: "+p.acmeDB+", to be decided", "stamp of globex: "+p.globexDB+", to be decided")
		require.Contains(t, said, "it bears the stamp of tenant "+idOf(t, &settings, "slug = 'globex'"))
		settings.Exec(t, p.acmeDB, "DELETE FROM tenant_stamp")
		require.Contains(t, requireDiagnosis(t, &settings, 1, "--tenant acme", "stamp of acme: "+p.acmeDB+", to be decided"), "it bears no stamp")
	})
}

func TestDoctorFindsADamagedDatabase(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	p := newPair(t, settings)
	p.Close()
	require.NoError(t, os.WriteFile(settings.File(p.acmeDB), []byte(strings.Repeat("no database ", 1000)), 0o600))
	requireDiagnosis(t, &settings, 1, "--repair", "database_unreachable of acme: "+p.acmeDB+", to be decided")
}

// Schemas that are behind, or that the registry is wrong about.
func TestDoctorMigrates(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := healthy(t, &settings)
		settings.Exec(t, p.globexDB, "CREATE TABLE notes (id integer)")
		next := nextRelease(settings, createTable(notesID, "notes"))
		spare := testkit.Scalar[string](t, &settings, settings.CoreName(), "SELECT database_name FROM tenants WHERE status = 'spare'")

		requireDiagnosis(t, &next, 1, "", "schema of acme: "+p.acmeDB+", repairable", "schema of globex: "+p.globexDB+", repairable",
			"schema of -: "+spare+", repairable")
		said := requireDiagnosis(t, &next, 1, "--repair", "schema of acme: "+p.acmeDB+", repaired",
			"schema of globex: "+p.globexDB+", repairable", "schema of -: "+spare+", repaired")
		require.Regexp(t, `the last attempt to migrate it failed: .*notes.*already exists`, said)

		// Nothing is in the way any more; and the registry's word is not the database's.
		settings.Exec(t, p.globexDB, "DROP TABLE notes")
		settings.Exec(t, p.acmeDB, "DROP TABLE notes", "DELETE FROM schema_migrations WHERE id = '"+notesID+"'")
		problems := requireRepaired(t, &next, "schema of acme: "+p.acmeDB, "schema of globex: "+p.globexDB)
		require.Contains(t, problems["schema of acme: "+p.acmeDB], "but it lacks migrations")
		requireDiagnosis(t, &next, 0, "")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET schema_version = '"+database.LatestID(migrations.Tenant())+"' WHERE slug = 'acme'")
		said = requireDiagnosis(t, &settings, 1, "", "schema_newer of acme: "+p.acmeDB+", to be decided")
		require.Contains(t, said, "but it has "+notesID)
	})
}

func TestDoctorFindsContradictions(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		settings.Exec(t, settings.CoreName(), "UPDATE organizations SET tenant_id = NULL WHERE slug = 'acme'")
		requireDiagnosis(t, &settings, 1, "--repair", "organization of -: acme, to be decided", "organization of acme: "+p.acmeDB+", to be decided")
		settings.Exec(t, settings.CoreName(), "DELETE FROM organizations WHERE slug = 'acme'",
			"UPDATE organizations SET slug = 'initech' WHERE slug = 'globex'")
		said := requireDiagnosis(t, &settings, 1, "", "organization of -: initech, to be decided", "organization of acme: "+p.acmeDB+", to be decided")
		require.Contains(t, said, `leads to tenant \"globex\"`)
	})
}

// A server that makes and deletes tenants all the while is in nobody's way, and
// there is nothing to be found that does not stay.
func TestDoctorBesideABusyServer(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := healthy(t, &settings)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				slug := fmt.Sprintf("busy-%d", i)
				created, err := p.Try(testkit.Creation(p.owner, slug))
				if err != nil || created.Code != http.StatusOK {
					t.Errorf("create: %v %d %s", err, created.Code, created.Raw)
					return
				}
				deleted, err := p.Try(testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slug, Token: p.owner})
				if err != nil || deleted.Code != http.StatusNoContent {
					t.Errorf("delete: %v %d %s", err, deleted.Code, deleted.Raw)
					return
				}
			}
		}()
		for range testkit.Rounds(t) {
			outcome := settings.Command(t, "tenants", "doctor", "--json")
			for _, finding := range testkit.Decode[[]findingJSON](t, outcome) {
				require.Equal(t, "unsettled", finding.Kind, "%v: %s", finding, finding.Problem) // marked, and not begun with
			}
			if settings.Engine == testkit.Postgres {
				settings.Command(t, "tenants", "isolation", "--tenant", "acme").RequireCode(t, 0)
			}
		}
		close(stop)
		<-stopped
		settings.RequireTidy(t)
		awaitSpares(t, &settings)
		requireDiagnosis(t, &settings, 0, "")
	})
}
