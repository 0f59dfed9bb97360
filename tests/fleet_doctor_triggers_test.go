package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// trailSabotages take the guard of the audit trail away: in acme, in globex and at core.
func trailSabotages(engine testkit.Engine) (acme, globex, core string) {
	if engine == testkit.SQLite {
		return "DROP TRIGGER audit_events_no_update", "DROP TRIGGER audit_events_no_replace",
			"DROP TRIGGER audit_events_no_delete; CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events BEGIN SELECT 1; END"
	}
	return "ALTER TABLE audit_events DISABLE TRIGGER audit_events_no_change", "DROP TRIGGER audit_events_no_change ON audit_events",
		"CREATE OR REPLACE FUNCTION audit_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
}

func TestDoctorMendsTriggers(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		acme, globex, core := trailSabotages(settings.Engine)
		settings.Exec(t, p.acmeDB, acme)
		settings.Exec(t, p.globexDB, globex)
		settings.Exec(t, settings.CoreName(), core)

		said := requireRepaired(t, &settings, "trigger of acme: "+p.acmeDB, "trigger of globex: "+p.globexDB, "trigger of -: "+settings.CoreName())

		for _, problem := range said {
			require.Contains(t, problem, "the trigger ")
		}
		for _, name := range []string{p.acmeDB, p.globexDB, settings.CoreName()} {
			for _, statement := range []string{"UPDATE audit_events SET detail = ''", "DELETE FROM audit_events"} {
				_, err := settings.SQL(t, name).ExecContext(t.Context(), statement)
				require.ErrorContains(t, err, "audit events are never", "%s %s", name, statement)
			}
		}
	})
}

// Only the server's administrator may disable the triggers of foreign keys, and enable
// them.
func TestDoctorFindsDisabledForeignKeys(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	administratorIn(t, &settings, p.acmeDB)("ALTER TABLE sessions DISABLE TRIGGER ALL")
	settings.Administer(t, `ALTER ROLE "`+appRole(t, &settings)+`" SET session_replication_role = replica`)

	said := requireDiagnosis(t, &settings, 1, "--repair",
		"trigger of acme: "+p.acmeDB+", to be decided", "trigger of -: "+settings.CoreName()+", to be decided")

	require.Contains(t, said, "ENABLE TRIGGER ALL on sessions")
	require.Contains(t, said, "session_replication_role = replica")
}
