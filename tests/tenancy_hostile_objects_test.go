package tests_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// openSchemaPublic makes schema public what it is on a server that was upgraded from
// PostgreSQL 14.
const openSchemaPublic = "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC"

// trap is the body of a function that fails for every role but the one that made it.
// The sequence remembers that, since a sequence is not rolled back.
const trap = `BEGIN
	IF session_user <> '$role' THEN
		PERFORM pg_catalog.nextval('public.trapped'::pg_catalog.regclass);
		RAISE EXCEPTION 'trapped: % runs a function of $role', session_user;
	END IF;
	RETURN NULL;
END`

// functionTraps makes a trap of every function whose name is in $names, with other
// types for each argument and for all of them, so that some match better.
const functionTraps = `DO $do$
DECLARE f record; kind text; place int; list text[];
BEGIN
	FOR f IN SELECT DISTINCT proname, string_to_array(oidvectortypes(proargtypes), ', ') AS arguments, pronargs
		FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ('{$names}') AND pronargs BETWEEN 1 AND 4
	LOOP
		FOREACH kind IN ARRAY '{$types}'::text[] LOOP
			FOR place IN 0..f.pronargs LOOP
				list := f.arguments;
				IF place = 0 THEN list := array_fill(kind, ARRAY[f.pronargs::int]); ELSE list[place] := kind; END IF;
				CONTINUE WHEN list::text ~ '"?any|internal|cstring';
				EXECUTE format('CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS boolean LANGUAGE plpgsql AS %L',
					f.proname, array_to_string(list, ', '), $trap$` + trap + `$trap$);
			END LOOP;
		END LOOP;
	END LOOP;
END $do$`

// operatorTraps makes a trap of every operator of these names between these types.
const operatorTraps = `DO $do$
DECLARE a text; b text; name text;
BEGIN
	FOREACH a IN ARRAY '{$types}'::text[] LOOP
		FOREACH b IN ARRAY '{$types}'::text[] LOOP
			EXECUTE format('CREATE OR REPLACE FUNCTION public.trap(%s, %s) RETURNS boolean LANGUAGE plpgsql AS %L', a, b, $trap$` + trap + `$trap$);
			FOREACH name IN ARRAY '{=,<>,<,>,<=,>=,||,~}'::text[] LOOP
				EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.trap, LEFTARG = %s, RIGHTARG = %s)', name, a, b);
			END LOOP;
		END LOOP;
	END LOOP;
END $do$`

// trapTypes are those that our statements have, written or implied.
const trapTypes = `text,varchar,name,int4,int8,oid,bool,timestamptz,information_schema.sql_identifier,information_schema.character_data`

// trappedNames are all words in our sources that precede a parenthesis: every function
// that a statement could name is among them.
func trappedNames(t *testing.T) string {
	t.Helper()
	calls := regexp.MustCompile(`([a-z_0-9]+)\(`)
	var names []string
	for _, pattern := range []string{"../database/*.go", "../database/*/*.go", "../models/*.go", "../tenants/*.go", "../tenants/*/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, call := range calls.FindAllStringSubmatch(string(source), -1) {
				names = append(names, call[1])
			}
		}
	}
	names = append(names, "lower", "length", "nextval", "now", "version", "substring")
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ",")
}

// layTraps fills schema public, as the tenant's role, with whatever might run instead
// of what the server has.
func layTraps(t *testing.T, settings *testkit.Settings, name, role string) {
	t.Helper()
	admin := *settings // the session must not outlive this: it would keep the database from being dropped
	admin.Database.URL = settings.Admin
	fill := strings.NewReplacer("$role", role, "$names", trappedNames(t), "$types", trapTypes).Replace
	admin.Exec(t, name, openSchemaPublic, `SET SESSION AUTHORIZATION "`+role+`"`, "SET check_function_bodies = off",
		"CREATE SEQUENCE public.trapped", "GRANT ALL ON SEQUENCE public.trapped TO PUBLIC",
		fill("CREATE FUNCTION public.trap() RETURNS boolean LANGUAGE plpgsql AS $$"+trap+"$$"),
		fill(functionTraps), fill(operatorTraps),
		"CREATE VIEW public.core_users AS SELECT public.trap() AS id", "GRANT ALL ON public.core_users TO PUBLIC",
		"CREATE DOMAIN public.varchar AS pg_catalog.text CHECK (public.trap())",
		"CREATE DOMAIN public.timestamptz AS pg_catalog.text CHECK (public.trap())",
		"CREATE DOMAIN public.regclass AS pg_catalog.text CHECK (public.trap())",
		"RESET SESSION AUTHORIZATION")
}

// A tenant's role may make what it likes where schema public is open. The
// application's role runs none of it, whatever an operator does.
func TestHostileObjectsAreNeverRun(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	p := newPair(t, settings)
	role := roleOf(t, &settings, "acme")
	layTraps(t, &settings, p.acmeDB, role)
	requireUntouched := func(act string) {
		t.Helper()
		isCalled := testkit.Scalar[bool](t, &settings, p.acmeDB, "SELECT is_called FROM public.trapped")
		require.False(t, isCalled, "%s: the application's role ran a function of a tenant", act)
	}

	outcome := settings.Command(t, "tenants", "isolation", "--tenant", "acme").RequireCode(t, 1)
	require.Regexp(t, `(?m)^fail +create_function +can make a function in schema public`, outcome.Stdout)
	requireUntouched("isolation")
	settings.Command(t, "tenants", "doctor", "--repair")
	requireUntouched("doctor")
	settings.Exec(t, settings.CoreName(), "UPDATE tenants SET role = '' WHERE slug = 'acme'")
	settings.Command(t, "migrate").RequireCode(t, 0)
	requireUntouched("giving a role")
	settings.Command(t, "migrate", "rollback", "--to", "202611290210_create_tenant_tables", "--yes").RequireCode(t, 0)
	requireUntouched("rollback")
	settings.Command(t, "migrate").RequireCode(t, 0)
	requireUntouched("migrate")
	p.requireServed(t, p.App, "globex", p.globex, "hank@example.com")
	p.Token("globex", "new@example.com")
	requireUntouched("requests to others")

	deleted := p.Delete("/api/organizations/acme", p.owner)
	require.Equal(t, http.StatusNoContent, deleted.Code, deleted.Raw)
	require.NotContains(t, p.Log.String(), "trapped")
	settings.RequireTidy(t)
}

// A server that was upgraded from PostgreSQL 14 serves, and its isolation fails until
// its administrator has closed schema public.
func TestIsolationFailsWherePublicIsOpen(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	require.NoError(t, cluster.OpenPublic(t.Context()))
	settings := onCluster(t, cluster)
	settings.Spares = 1
	p := healthy(t, &settings)

	outcome := settings.Command(t, "tenants", "isolation").RequireCode(t, 1)

	require.Regexp(t, `(?m)^fail +create_table +can make a table in schema public, which is not ours: its owner can REVOKE`, outcome.Stdout)
	require.Regexp(t, `(?m)^\d+ trials: \d+ passed, \d+ noted, 3 failed$`, outcome.Stdout)
	requireDiagnosis(t, &settings, 0, "")
	administer := administratorIn(t, &settings, p.acmeDB)
	administer(`SET SESSION AUTHORIZATION "`+roleOf(t, &settings, "acme")+`"`,
		"CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "RESET SESSION AUTHORIZATION")
	require.Contains(t, requireDiagnosis(t, &settings, 0, "", "foreign of acme: "+p.acmeDB+", to be decided"), "function mine of")
	p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
	settings.Administer(t, "ALTER DATABASE template0 ALLOW_CONNECTIONS true")
	closing := []string{"ALTER SCHEMA public OWNER TO pg_database_owner", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"}
	administratorIn(t, &settings, "template0")(closing...)
	for _, name := range settings.Databases(t) {
		if strings.HasPrefix(name, settings.Database.TenantPrefix) {
			administratorIn(t, &settings, name)(closing...)
		}
	}
	settings.Command(t, "tenants", "isolation", "--tenant", "acme").RequireCode(t, 0)
}
