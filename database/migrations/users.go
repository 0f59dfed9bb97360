package migrations

import (
	"slices"
	"strconv"

	"gorm.io/gorm"
)

// users is what the original's two tables of people have in common.
func users(name string, more ...column) table {
	return table{
		name: name,
		columns: append([]column{
			{"id", "serial PRIMARY KEY", "integer PRIMARY KEY AUTOINCREMENT"},
			same("email", "varchar NOT NULL"),
			same("hashed_password", "varchar NOT NULL"),
			same("full_name", "varchar"),
			same("is_active", "boolean"),
			{createdAt, "timestamptz DEFAULT now()", "datetime DEFAULT CURRENT_TIMESTAMP"},
			{updatedAt, "timestamptz", "datetime"},
		}, more...),
		indexes: []index{{"id", false}, {"email", true}},
	}
}

func adoptUsers(tx *gorm.DB, t table) error {
	if err := t.adopt(tx); err != nil {
		return err
	}
	return fillNulls(tx, t.name)
}

const emailCanonical = "email_canonical"

// addEmailCanonical adds the form by which e-mail addresses are compared. Where
// addresses differ only in case, which the original allowed, one of them gets
// that form, the one written so or else the oldest, and the others keep their own
// spelling, so that everybody can go on logging in with what they type today.
func addEmailCanonical(tx *gorm.DB, table string) error {
	present, err := columnsOf(tx, table)
	if err != nil {
		return err
	}
	if !slices.Contains(present, emailCanonical) {
		if err := same(emailCanonical, "varchar NOT NULL DEFAULT ''").add(tx, table); err != nil {
			return err
		}
	}
	if err := lowerEmails(tx, table); err != nil {
		return err
	}
	if err := keepSpellings(tx, table); err != nil {
		return err
	}
	return index{emailCanonical, true}.ensure(tx, table)
}

func dropEmailCanonical(tx *gorm.DB, table string) error {
	if err := run(tx, "DROP INDEX IF EXISTS ix_"+table+"_"+emailCanonical); err != nil {
		return err
	}
	return run(tx, "ALTER TABLE "+table+" DROP COLUMN "+emailCanonical)
}

type person struct {
	ID    int64
	Email string
}

// lowerEmails gives everybody the lower-case form, for now.
func lowerEmails(tx *gorm.DB, table string) error {
	last := int64(0)
	for first := true; ; first = false {
		var people []person
		query := tx.Table(table).Select("id, COALESCE(email, '') AS email").Order("id").Limit(batch)
		if !first { // ids may be negative
			query = query.Where("id > ?", last)
		}
		if err := query.Find(&people).Error; err != nil {
			return err
		}
		if len(people) == 0 {
			return nil
		}
		last = people[len(people)-1].ID
		values := make([]any, 0, 2*len(people))
		for _, p := range people {
			values = append(values, p.ID, p.canonical())
		}
		if err := setByID(tx, table, emailCanonical, "varchar", values); err != nil {
			return err
		}
	}
}

// canonical of somebody without an address is one that nobody can have.
func (p person) canonical() string {
	if p.Email == "" {
		return "id " + strconv.FormatInt(p.ID, 10)
	}
	return lowerASCII(p.Email)
}

// keepSpellings settles who of those that now have the same form may keep it.
func keepSpellings(tx *gorm.DB, table string) error {
	var shared []string
	err := tx.Raw("SELECT email_canonical FROM " + table + " GROUP BY email_canonical HAVING count(*) > 1").Scan(&shared).Error
	if err != nil {
		return err
	}
	for _, form := range shared {
		var people []person
		err := tx.Table(table).Select("id, email").Where("email_canonical = ?", form).Order("id").Find(&people).Error
		if err != nil {
			return err
		}
		if err := setByID(tx, table, emailCanonical, "varchar", spellings(people, form)); err != nil {
			return err
		}
	}
	return nil
}

// spellings lists the ids and addresses of all but the one who keeps form.
func spellings(people []person, form string) []any {
	keeper := people[0].ID
	for _, p := range people {
		if p.Email == form {
			keeper = p.ID
		}
	}
	values := make([]any, 0, 2*len(people))
	for _, p := range people {
		if p.ID != keeper {
			values = append(values, p.ID, p.Email)
		}
	}
	return values
}

// lowerASCII folds A to Z only: Unicode's folding makes one of different addresses.
func lowerASCII(s string) string {
	folded := []byte(s)
	for i, b := range folded {
		if 'A' <= b && b <= 'Z' {
			folded[i] = b + 'a' - 'A'
		}
	}
	return string(folded)
}
