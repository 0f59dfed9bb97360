package migrations_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"multitenant/database/migrations"
)

// TestRolesOfThoseWhoAreThere: the organization's owner is the owner; where there
// is none it is who came first; and in a database that is being taken over nobody
// is, until the owner is known.
func TestRolesOfThoseWhoAreThere(t *testing.T) {
	t.Parallel()
	const earlier = 5 // migrations, before there were roles
	for engine, openFresh := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for name, tc := range map[string]struct {
				statements []string
				want       []string
			}{
				"organization":    {[]string{stamp(), "UPDATE tenant_users SET core_user_id = 9 WHERE id = 2"}, []string{"1 member", "2 owner", "3 member"}},
				"no organization": {[]string{stamp()}, []string{"1 owner", "2 member", "3 member"}},
				"taken over":      {nil, []string{"1 member", "2 member", "3 member"}},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					db := openFresh(t).Core()
					migrate(t, db, migrations.Tenant()[:earlier])
					for _, n := range []string{"1", "2", "3"} {
						run(t, db, "INSERT INTO tenant_users (id, email, email_canonical, hashed_password) VALUES ("+n+", '"+n+"', '"+n+"', '')")
					}
					run(t, db, tc.statements...)

					migrate(t, db, migrations.Tenant())

					require.Equal(t, tc.want, rows(t, db, "SELECT CAST(id AS varchar) || ' ' || role FROM tenant_users ORDER BY id"))
				})
			}
		})
	}
}

func stamp() string {
	return "INSERT INTO tenant_stamp (tenant_id) VALUES ('" + uuid.NewString() + "')"
}
