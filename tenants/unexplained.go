package tenants

import (
	"context"
	"slices"
	"strings"

	"multitenant/models"
)

// The kinds of unexplained things.
const (
	DatabaseNoun = "database"
	RoleNoun     = "role"
	FileNoun     = "file"
)

// Stray is a database, a role or a file that has a name of ours and is in no row
// of the registry.
type Stray struct {
	Noun string
	Name string
	// Private says that only this core gives such a name, and only to what no tenant
	// has claimed. Anything else may belong to others.
	Private bool
}

// ListUnexplained returns the databases, roles and files that the registry does
// not explain. It looks twice, because a tenant that is being made, renamed or
// removed may look unexplained for a moment.
func (d *Databases) ListUnexplained(ctx context.Context) ([]Stray, error) {
	first, err := d.listStrays(ctx)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := d.listStrays(ctx)
	return slices.DeleteFunc(second, func(s Stray) bool { return !slices.Contains(first, s) }), err
}

func (d *Databases) listStrays(ctx context.Context) ([]Stray, error) {
	// The server is listed before the registry is read: what is made in between is in
	// the registry alone.
	found, err := d.Backend.List(ctx, d.Prefix)
	if err != nil {
		return nil, err
	}
	known, err := d.listKnown(ctx)
	if err != nil {
		return nil, err
	}
	var strays []Stray
	add := func(noun, name, owner string) {
		if s, ours := d.strayOf(noun, name); ours && !known[owner] {
			strays = append(strays, s)
		}
	}
	for _, name := range found.Databases {
		add(DatabaseNoun, name, name)
	}
	for _, name := range found.Roles {
		add(RoleNoun, name, name)
	}
	for _, file := range found.Files {
		name, _, _ := strings.Cut(file, ".")
		add(FileNoun, file, name)
	}
	return strays, nil
}

// listKnown returns the names of databases and roles that the registry explains.
func (d *Databases) listKnown(ctx context.Context) (map[string]bool, error) {
	known := make(map[string]bool)
	err := models.EachTenant(ctx, d.Core, models.Selection{}, func(record *models.Tenant) error {
		known[record.DatabaseName], known[record.Role], known[d.roleName(record.ID)] = true, true, true
		if !record.Status.IsFinished() { // it may have been interrupted before it was renamed
			known[d.PrivateName(record.ID)] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	replaced, err := models.ListReplaced(ctx, d.Core)
	for i := range replaced {
		known[replaced[i].DatabaseName] = true
	}
	return known, err
}

// strayOf reports whether something of that name needs a row of our registry. A
// name with two underscores and another id belongs to another core.
func (d *Databases) strayOf(noun, name string) (s Stray, ours bool) {
	s = Stray{Noun: noun, Name: name, Private: strings.HasPrefix(name, d.PrivatePrefix(noun))}
	return s, s.Private || noun != RoleNoun && !strings.HasPrefix(name, d.Prefix+"_")
}
