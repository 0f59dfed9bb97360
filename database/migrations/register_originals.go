package migrations

import (
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// organization is what the tenant of an original organization depends on.
type organization struct {
	ID       int64
	Slug     string
	IsActive bool
}

// registerOriginals makes a tenant of every organization that the original had. The
// schema version stays empty, because the tenant's database is not opened here.
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
	return setByID(tx, "organizations", "tenant_id", kind, links)
}

// originalDatabase returns the name of the database where the original kept an
// organization's users. PostgreSQL cuts long names short and the original ignored
// that, so slugs that begin alike shared a database, and one slug could lead into
// core. Only the first organization gets the database. The others get a name that
// no database has: only this program uses two underscores, and the id is random.
// They are out of service, and their data stays where it is until an operator
// moves it by hand.
func originalDatabase(prefix, slug string, id uuid.UUID, taken map[string]bool) string {
	name := cut(prefix+slug, 63)
	if taken[name] {
		return cut(prefix, 22) + "_missing_" + strings.ReplaceAll(id.String(), "-", "")
	}
	taken[name] = true
	return name
}

// cut shortens a name to at most size bytes, without cutting a character in two.
func cut(name string, size int) string {
	if len(name) <= size {
		return name
	}
	for size > 0 && !utf8.RuneStart(name[size]) {
		size--
	}
	return name[:size]
}

// databaseName returns the core database's own name, in the form of a tenant's.
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

// batch is how many rows are read and written at once.
const batch = 500

// setByID sets one column of many rows: values alternates ids and values.
func setByID(tx *gorm.DB, table, column, kind string, values []any) error {
	if len(values) == 0 {
		return nil
	}
	row := "(CAST(? AS integer), CAST(? AS " + kind + "))"
	rows := strings.Repeat(", "+row, len(values)/2)[2:]
	return run(tx, "UPDATE "+table+" SET "+column+" = v.column2 FROM (VALUES "+rows+") AS v WHERE "+
		table+".id = v.column1", values...)
}
