package migrations

import (
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
)

// There is no way back: without the registry nobody would know which database
// is whose.
func core202611240130CreateTenants(prefix string) *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "202611240130_create_tenants",
		Migrate: func(tx *gorm.DB) error {
			if err := createInstallation(tx); err != nil {
				return err
			}
			if err := createTenants(tx); err != nil {
				return err
			}
			return registerOriginals(tx, prefix)
		},
	}
}

// createInstallation makes the core's own id, by which it knows the databases
// that it made and that are nobody's yet.
func createInstallation(tx *gorm.DB) error {
	installation := table{
		name:    "core_installation",
		columns: []column{uuidKey("id")},
	}
	if err := installation.adopt(tx); err != nil {
		return err
	}
	if err := oneRow(tx, "core_installation", "id"); err != nil {
		return err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return err
	}
	return run(tx, "INSERT INTO core_installation (id) VALUES (?)", id)
}

func createTenants(tx *gorm.DB) error {
	tenants := table{
		name: "tenants",
		columns: []column{
			uuidKey("id"),
			same("slug", "varchar"),
			same("database_name", "varchar NOT NULL"),
			same("status", "varchar NOT NULL"),
			same("schema_version", "varchar NOT NULL DEFAULT ''"),
			same("error", "varchar NOT NULL DEFAULT ''"),
			{createdAt, "timestamptz NOT NULL", "datetime NOT NULL"},
			{updatedAt, "timestamptz NOT NULL", "datetime NOT NULL"},
		},
		indexes: []index{{"slug", true}, {"database_name", true}},
	}
	if err := tenants.adopt(tx); err != nil {
		return err
	}
	reference := column{tenantID, "uuid REFERENCES tenants (id)", "text REFERENCES tenants (id)"}
	if err := reference.add(tx, "organizations"); err != nil {
		return err
	}
	return index{tenantID, true}.ensure(tx, "organizations")
}

// oneRow keeps a table from having two: the expression is true in every row.
func oneRow(tx *gorm.DB, table, column string) error {
	return run(tx, "CREATE UNIQUE INDEX ix_"+table+"_one_row ON "+table+" (("+column+" IS NOT NULL))")
}

type organization struct {
	ID       int64
	Slug     string
	IsActive bool
}

// registerOriginals makes a tenant of every organization the original had. Its
// schema version is empty: the database has not been looked at yet.
func registerOriginals(tx *gorm.DB, prefix string) error {
	core, err := databaseName(tx)
	if err != nil {
		return err
	}
	taken := map[string]bool{core: true}
	last := int64(0)
	for first := true; ; first = false {
		var found []organization
		query := tx.Table("organizations").Select("id, slug, is_active").Order("id").Limit(batch)
		if !first {
			query = query.Where("id > ?", last)
		}
		if err := query.Find(&found).Error; err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		last = found[len(found)-1].ID
		if err := register(tx, found, prefix, taken); err != nil {
			return err
		}
	}
}

func register(tx *gorm.DB, found []organization, prefix string, taken map[string]bool) error {
	now := tx.NowFunc()
	rows, links := make([]any, 0, 6*len(found)), make([]any, 0, 2*len(found))
	for _, o := range found {
		id, err := uuid.NewRandom()
		if err != nil {
			return err
		}
		status := "ready"
		if !o.IsActive {
			status = "suspended"
		}
		rows = append(rows, id, o.Slug, originalDatabase(prefix, o.Slug, id, taken), status, now, now)
		links = append(links, o.ID, id)
	}
	places := strings.Repeat(", (?, ?, ?, ?, ?, ?)", len(found))[2:]
	err := run(tx, "INSERT INTO tenants (id, slug, database_name, status, created_at, updated_at) VALUES "+places, rows...)
	if err != nil {
		return err
	}
	kind := "text"
	if isPostgres(tx) {
		kind = "uuid"
	}
	return setByID(tx, "organizations", tenantID, kind, links)
}

// originalDatabase is where the original kept an organization's people. It took
// no notice of PostgreSQL cutting names short, so slugs that begin alike shared a
// database, and one slug could lead into core. Only the first to come gets the
// database. The others get a name that no database has or will ever get, since
// two underscores are ours and the id is random: they are out of service, and
// their data is safe where it is, until somebody moves it by hand.
func originalDatabase(prefix, slug string, id uuid.UUID, taken map[string]bool) string {
	name := cut(prefix+slug, 63)
	if taken[name] {
		return cut(prefix, 22) + "_missing_" + strings.ReplaceAll(id.String(), "-", "")
	}
	taken[name] = true
	return name
}

// cut shortens a name to so many bytes, without cutting a character in two.
func cut(name string, size int) string {
	if len(name) <= size {
		return name
	}
	for size > 0 && !utf8.RuneStart(name[size]) {
		size--
	}
	return name[:size]
}

// databaseName is the core database's own name, as a tenant's would be.
func databaseName(tx *gorm.DB) (string, error) {
	query := "SELECT file FROM pragma_database_list WHERE name = 'main'"
	if isPostgres(tx) {
		query = "SELECT current_database()"
	}
	var name string
	if err := tx.Raw(query).Scan(&name).Error; err != nil {
		return "", err
	}
	return strings.TrimSuffix(filepath.Base(name), ".db"), nil
}
