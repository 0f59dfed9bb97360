package models

import (
	"fmt"

	"gorm.io/gorm"
)

// Mask says how the columns of a table of a tenant are replaced in a masked clone.
type Mask struct {
	Table string
	// UserID is an expression for the id of the user whom the columns are about. The row
	// of the owner stays as it is.
	UserID  string
	Columns []MaskedColumn
}

// MaskedColumn is a column, and the expression of its row that replaces it.
type MaskedColumn struct{ Name, Value string }

// maskedDomain can be no user's: RFC 2606 reserves it.
const maskedDomain = "@masked.invalid"

// The columns of a user that must be unique, and the one that no clone and no export shows.
const (
	emailColumn     = "email"
	canonicalColumn = "email_canonical"
	passwordColumn  = "hashed_password"
)

// Masks lists the columns that a masked clone does not have from its source. An expression must mean the
// same on both engines. Of a table with a unique column, the values must be unique too.
func Masks() []Mask {
	return []Mask{
		{Table: TenantUser{}.TableName(), UserID: "id", Columns: []MaskedColumn{
			{emailColumn, maskedAddress("'user'", "id")},
			{canonicalColumn, maskedAddress("'user'", "id")},
			{passwordColumn, "''"},
			{"full_name", "CASE WHEN full_name IS NOT NULL THEN 'User ' || CAST(id AS varchar) END"},
			{"bio", "NULL"},
			{"phone", "NULL"},
		}},
		{Table: Event{}.TableName(), UserID: "actor_id", Columns: []MaskedColumn{
			{"actor", "CASE WHEN actor_id IS NOT NULL THEN " + maskedAddress("'user'", "actor_id") + " WHEN actor = '" + Operator + "' THEN actor ELSE '' END"},
			{"ip", "''"},
			{"user_agent", "''"},
		}},
		{Table: Event{}.TableName(), UserID: "CASE WHEN target_kind = 'user' THEN target_id END", Columns: []MaskedColumn{
			{"target_name", "CASE WHEN target_kind IN ('user', 'invitation') AND target_name <> '' THEN " +
				"coalesce(" + maskedAddress("target_kind", "target_id") + ", '') ELSE target_name END"},
		}},
	}
}

// maskedAddress is the address that replaces that of the user or invitation with that id.
func maskedAddress(kind, id string) string {
	return kind + " || '-' || CAST(" + id + " AS varchar) || '" + maskedDomain + "'"
}

// MaskedColumns names the columns that a masked clone does not have of its source.
func MaskedColumns() (names []string) {
	for _, mask := range Masks() {
		for _, column := range mask.Columns {
			names = append(names, mask.Table+"."+column.Name)
		}
	}
	return names
}

// maskAll masks all that is not about the owner.
func maskAll(tx *gorm.DB, owner *CoreUser) error {
	var ownerID int64 // no user has 0
	if owner != nil {
		err := tx.Model(&TenantUser{}).Select("id").Where("core_user_id = ?", owner.ID).Scan(&ownerID).Error
		if err != nil {
			return err
		}
	}
	// A user may have the address that another gets: first none has any.
	const none = "CAST(id AS varchar)"
	first := Mask{Table: TenantUser{}.TableName(), UserID: "id", Columns: []MaskedColumn{{emailColumn, none}, {canonicalColumn, none}}}
	for _, mask := range append([]Mask{first}, Masks()...) {
		if err := mask.apply(tx, ownerID); err != nil {
			return fmt.Errorf("mask table %s: %w", mask.Table, err)
		}
	}
	return nil
}

func (m *Mask) apply(tx *gorm.DB, ownerID int64) error {
	values := map[string]any{}
	for _, column := range m.Columns {
		values[column.Name] = gorm.Expr(column.Value)
	}
	return tx.Table(m.Table).Where("coalesce("+m.UserID+", 0) <> ?", ownerID).UpdateColumns(values).Error
}
