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

// straysPage is for how many names the registry is asked at once.
const straysPage = 100

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
	var ours []Stray
	add := func(noun string, names []string) {
		for _, name := range names {
			if s, is := d.strayOf(noun, name); is {
				ours = append(ours, s)
			}
		}
	}
	add(DatabaseNoun, found.Databases)
	add(RoleNoun, found.Roles)
	add(FileNoun, found.Files)
	var strays []Stray
	for page := range slices.Chunk(ours, straysPage) {
		known, err := d.listKnown(ctx, page)
		if err != nil {
			return nil, err
		}
		strays = append(strays, slices.DeleteFunc(page, func(s Stray) bool { return known[s.owner()] })...)
	}
	return strays, nil
}

// listKnown returns the names of databases and roles that the rows of these things explain.
func (d *Databases) listKnown(ctx context.Context, things []Stray) (map[string]bool, error) {
	names, starts := make([]string, 0, len(things)), []string{}
	for _, s := range things {
		names = append(names, s.owner()) // a restored tenant may have a private one
		if s.Private {
			starts = append(starts, strings.TrimPrefix(s.owner(), d.PrivatePrefix(s.Noun)))
		}
	}
	records, err := models.ListNamed(ctx, d.Core, names, starts)
	known := make(map[string]bool)
	for i := range records {
		record := &records[i]
		known[record.DatabaseName], known[record.Role], known[d.roleName(record.ID)] = true, true, true
		if !record.Status.IsFinished() { // it may have been interrupted before it was renamed
			known[d.PrivateName(record.ID)] = true
		}
	}
	if err != nil {
		return nil, err
	}
	replaced, err := models.ListReplaced(ctx, d.Core)
	for i := range replaced {
		known[replaced[i].DatabaseName] = true
	}
	return known, err
}

// owner returns the name of the database or role that it is or belongs to.
func (s Stray) owner() string {
	name, _, _ := strings.Cut(s.Name, ".")
	return name
}

// strayOf reports whether something of that name needs a row of our registry. A
// name with two underscores and another id belongs to another core.
func (d *Databases) strayOf(noun, name string) (s Stray, ours bool) {
	s = Stray{Noun: noun, Name: name, Private: strings.HasPrefix(name, d.PrivatePrefix(noun))}
	return s, s.Private || noun != RoleNoun && !strings.HasPrefix(name, d.Prefix+"_")
}
