package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database/migrations"
)

// TestRolesOfATakenOverTenant: every user is a member, until the takeover links the
// owner.
func TestRolesOfATakenOverTenant(t *testing.T) {
	t.Parallel()
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := openFresh(t).Core()
			originalUsers(t, db, "tenant_users", ", bio TEXT, phone VARCHAR")
			run(t, db, "INSERT INTO tenant_users (id, email, hashed_password) VALUES (1, 'a', ''), (2, 'b', ''), (3, 'c', '')")

			migrate(t, db, migrations.Tenant())

			require.Equal(t, []string{"1 member", "2 member", "3 member"},
				rows(t, db, "SELECT CAST(id AS varchar) || ' ' || role FROM tenant_users ORDER BY id"))
		})
	}
}
