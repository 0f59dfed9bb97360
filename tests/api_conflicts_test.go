package tests_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// rules are constraints that an administrator adds, by the name that the log has: to the
// users of core, and to those of a tenant.
func rules(engine testkit.Engine) (core, tenant []string) {
	if engine == testkit.SQLite {
		return []string{"ALTER TABLE core_users ADD COLUMN no_bob text CONSTRAINT no_bob CHECK (email NOT LIKE 'bob%')"}, []string{
			"ALTER TABLE tenant_users ADD COLUMN no_bob text CONSTRAINT no_bob CHECK (email NOT LIKE 'bob%')",
			"CREATE UNIQUE INDEX one_phone ON tenant_users (phone)",
			"CREATE TABLE orders (user_id integer REFERENCES tenant_users (id) DEFERRABLE INITIALLY DEFERRED)",
		}
	}
	return []string{"ALTER TABLE core_users ADD CONSTRAINT no_bob CHECK (email NOT LIKE 'bob%')"}, []string{
		"ALTER TABLE tenant_users ADD CONSTRAINT no_bob CHECK (email NOT LIKE 'bob%')",
		"CREATE UNIQUE INDEX one_phone ON tenant_users (phone)",
		"CREATE TABLE orders (user_id integer CONSTRAINT of_user REFERENCES tenant_users (id) DEFERRABLE INITIALLY DEFERRED)",
	}
}

// A constraint that an administrator has added is no fault of the server: the caller is
// told that it refuses, and the log says which one does.
func TestConstraintsOfAdministrators(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		p := newPair(t, settings)
		entered := p.Post("/api/organizations/acme/token", p.owner, nil)
		owner := entered.Text(p.App, "access_token")
		second := p.Register("acme", "mary@example.com")
		mary := fmt.Sprint(second.Object(p.App)["id"])
		core, tenant := rules(settings.Engine)
		settings.Exec(t, settings.CoreName(), core...)
		settings.Exec(t, p.acmeDB, append(tenant, "INSERT INTO orders VALUES ("+mary+")")...)
		require.Equal(t, http.StatusOK, p.Put(usersPath+mary, owner, testkit.JSON{"phone": "1"}).Code)
		key, index := "of_user", "one_phone"
		if settings.Engine == testkit.SQLite { // which does not name them
			key, index = "FOREIGN KEY constraint failed", "tenant_users.phone"
		}

		for rule, request := range map[string]testkit.Request{
			"no_bob":        testkit.Registration("", "bob@example.com"),
			"no_bob inside": testkit.Registration("acme", "bob@example.com"),
			index:           {Method: http.MethodPut, Path: profilePath, Token: p.acme, Body: testkit.JSON{"phone": "1"}},
			key:             {Method: http.MethodDelete, Path: usersPath + mary, Token: owner},
		} {
			answer := p.Do(request)
			answer.RequireProblem(p.App, 409, "conflict", "Refused by a rule of this installation")
			require.NotContains(t, answer.Raw, "no_bob")
			line := logLine(t, p.App, answer)
			require.Contains(t, line, "level=WARN")
			if rule != "no_bob inside" {
				require.Contains(t, line, rule)
			}
		}
		p.requireServed(t, p.App, "acme", p.acme, "grace@example.com")
	})
}
