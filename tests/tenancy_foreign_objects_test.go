package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// An administrator may put objects of their own beside a tenant's tables. They break
// nothing, keep their rights, and are no fault.
func TestForeignObjectsAreLeftAlone(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	role := roleOf(t, &settings, "acme")
	administer := administratorIn(t, &settings, p.acmeDB)
	administer(
		"CREATE TABLE public.dba_table (id serial)", "CREATE VIEW public.dba_view AS SELECT id FROM public.tenant_users",
		"CREATE MATERIALIZED VIEW public.dba_copy AS SELECT id FROM public.tenant_users", "CREATE SEQUENCE public.dba_sequence",
		"CREATE FUNCTION public.dba_function() RETURNS int LANGUAGE sql AS 'SELECT 1'",
	)
	const noted = "foreign of acme: "

	requireDiagnosis(t, &settings, 0, "", noted+p.acmeDB+", to be decided")
	text := settings.Command(t, "tenants", "doctor").RequireCode(t, 0).Stdout
	require.Regexp(t, `(?m)^foreign +acme +noted +left alone, .*function dba_function of postgres, .*view dba_copy of postgres`, text)
	settings.Command(t, "migrate", "rollback", "--to", "202611290210_create_tenant_tables", "--yes").RequireCode(t, 0)
	settings.Command(t, "migrate").RequireCode(t, 0)
	administer(`REVOKE UPDATE ON public.tenant_users FROM "` + role + `"`)
	requireDiagnosis(t, &settings, 0, "--repair", "grants of acme: "+p.acmeDB+", repaired", noted+p.acmeDB+", to be decided")

	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
	settings.Command(t, "tenants", "isolation", "--tenant", "acme").RequireCode(t, 0)
	for _, name := range []string{"dba_table", "dba_view", "dba_copy", "dba_sequence", "dba_table_id_seq"} {
		untouched := testkit.Scalar[bool](t, &settings, p.acmeDB, `SELECT relacl IS NULL AND relowner = 'postgres'::regrole
			AND relnamespace = 'public'::regnamespace FROM pg_class WHERE relname = '`+name+`'`)
		require.True(t, untouched, name)
	}
}
