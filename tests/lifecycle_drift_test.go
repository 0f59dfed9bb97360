package tests_test

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"multitenant/models"
	"multitenant/tests/testkit"
)

// looser are columns that may be null although the model cannot say so: most
// were made so by the original, and nothing ever writes a null.
func looser() []string {
	return []string{
		"core_users.is_active", "core_users.created_at",
		"tenant_users.is_active", "tenant_users.created_at",
		"organizations.is_active", "organizations.created_at", "organizations.tenant_id",
		"tenants.slug", // a database made ahead has none yet
	}
}

// TestModelsAndMigrationsAgree: the models, which are what the code goes by, and
// the migrated tables have the same columns, of the same kind, and what may be
// missing in one may be missing in the other.
func TestModelsAndMigrationsAgree(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		app.Token("acme", "hank@example.com")
		tenant, release, err := app.Tenants.Acquire(t.Context(), "acme")
		require.NoError(t, err)
		defer release()

		requireAgreement(t, app.Tenants.Core(), "schema_migrations",
			&models.CoreUser{}, &models.Organization{}, &models.Tenant{}, &models.Installation{}, &models.Session{}, &models.PasswordReset{},
			&models.Event{}, &models.RestingSlug{}, &models.SlugAlias{}, &models.Operation{}, &models.ReplacedDatabase{})
		requireAgreement(t, tenant.DB, "schema_migrations", &models.TenantUser{}, &models.Stamp{}, &models.Session{},
			&models.PasswordReset{}, &models.Event{}, &models.Invitation{})
	})
}

func requireAgreement(t *testing.T, db *gorm.DB, others string, records ...any) {
	t.Helper()
	tables, err := db.Migrator().GetTables()
	require.NoError(t, err)
	tables = slices.DeleteFunc(tables, func(table string) bool {
		return table == others || strings.HasPrefix(table, "sqlite_")
	})
	for _, record := range records {
		described, err := schema.Parse(record, &sync.Map{}, db.NamingStrategy)
		require.NoError(t, err)
		require.Contains(t, tables, described.Table)
		tables = slices.DeleteFunc(tables, func(table string) bool { return table == described.Table })

		columns, err := db.Migrator().ColumnTypes(record)
		require.NoError(t, err)
		var names []string
		for _, column := range columns {
			names = append(names, column.Name())
			field := described.LookUpField(column.Name())
			place := described.Table + "." + column.Name()
			require.NotNil(t, field, "no model knows column %s", place)
			require.Equal(t, kindOf(field), classOf(column), place)
			nullable, known := column.Nullable()
			require.True(t, known, place)
			optional := field.FieldType.Kind() == reflect.Pointer
			require.Equal(t, optional || slices.Contains(looser(), place), nullable && !isKey(column), place)
		}
		require.ElementsMatch(t, described.DBNames, names, described.Table)
	}
	require.Empty(t, tables, "no model knows these tables")
}

// kindOf is the class of values a model's field takes.
func kindOf(field *schema.Field) string {
	kind := field.IndirectFieldType
	switch {
	case kind == reflect.TypeFor[time.Time]():
		return "time"
	case kind.Kind() == reflect.Int64:
		return "integer"
	default:
		return kind.Kind().String()
	}
}

// classOf is the class of values a column takes.
func classOf(column gorm.ColumnType) string {
	switch name := strings.ToLower(column.DatabaseTypeName()); name {
	case "int4", "int8", "integer":
		return "integer"
	case "bool", "boolean":
		return "bool"
	case "varchar", "text", "uuid":
		return "string"
	case "timestamptz", "datetime":
		return "time"
	default:
		return name
	}
}

// isKey is true for a primary key, which is never null; SQLite does not say so.
func isKey(column gorm.ColumnType) bool {
	key, known := column.PrimaryKey()
	return key && known
}
