package migrations

import (
	"strconv"

	"gorm.io/gorm"
)

const emailCanonical = "email_canonical"

// fillEmailCanonical fills the column by which e-mail addresses are compared. The
// original allowed addresses that differ only in case. Of these, one user gets the
// lower-case form: the user whose address is written so, or else the oldest. The
// others keep their own spelling, so every user can log in as before.
func fillEmailCanonical(tx *gorm.DB, table string) error {
	if err := lowerEmails(tx, table); err != nil {
		return err
	}
	return keepSpellings(tx, table)
}

// user is what the canonical form of an address depends on.
type user struct {
	ID    int64
	Email string
}

// lowerEmails gives every user the lower-case form, for now.
func lowerEmails(tx *gorm.DB, table string) error {
	last := int64(0)
	for first := true; ; first = false {
		var users []user
		query := tx.Table(table).Select("id, COALESCE(email, '') AS email").Order("id").Limit(batch)
		if !first { // ids may be negative
			query = query.Where("id > ?", last)
		}
		if err := query.Find(&users).Error; err != nil {
			return err
		}
		if len(users) == 0 {
			return nil
		}
		last = users[len(users)-1].ID
		values := make([]any, 0, 2*len(users))
		for _, u := range users {
			values = append(values, u.ID, u.canonical())
		}
		if err := setByID(tx, table, emailCanonical, "varchar", values); err != nil {
			return err
		}
	}
}

// canonical returns the lower-case form of the address. A user without an address
// gets a form that no address can have.
func (u user) canonical() string {
	if u.Email == "" {
		return "id " + strconv.FormatInt(u.ID, 10)
	}
	return lowerASCII(u.Email)
}

// keepSpellings lets one of the users that now share a form keep it, and gives the
// others their own spelling.
func keepSpellings(tx *gorm.DB, table string) error {
	var shared []string
	err := tx.Raw("SELECT email_canonical FROM " + table + " GROUP BY email_canonical HAVING count(*) > 1").Scan(&shared).Error
	if err != nil {
		return err
	}
	for _, form := range shared {
		var users []user
		err := tx.Table(table).Select("id, email").Where("email_canonical = ?", form).Order("id").Find(&users).Error
		if err != nil {
			return err
		}
		if err := setByID(tx, table, emailCanonical, "varchar", spellings(users, form)); err != nil {
			return err
		}
	}
	return nil
}

// spellings lists the ids and addresses of all users but the one that keeps form.
func spellings(users []user, form string) []any {
	keeper := users[0].ID
	for _, u := range users {
		if u.Email == form {
			keeper = u.ID
		}
	}
	values := make([]any, 0, 2*len(users))
	for _, u := range users {
		if u.ID != keeper {
			values = append(values, u.ID, u.Email)
		}
	}
	return values
}

// lowerASCII folds A to Z only: Unicode's folding makes different addresses equal.
func lowerASCII(s string) string {
	folded := []byte(s)
	for i, b := range folded {
		if 'A' <= b && b <= 'Z' {
			folded[i] = b + 'a' - 'A'
		}
	}
	return string(folded)
}
