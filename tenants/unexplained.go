package tenants

import (
	"context"
	"slices"
	"strings"

	"multitenant/models"
)

// What can be unexplained.
const (
	databaseNoun = "database"
	roleNoun     = "role"
	fileNoun     = "file"
)

// stray is a database, a role or a file that bears a name of ours and is in no
// row of the registry.
type stray struct {
	noun string
	name string
	// private says that the name is one that only this core gives, and to what is
	// nobody's; any other may be somebody else's.
	private bool
}

// unexplained lists what there is that the registry does not explain. While a
// tenant is made, renamed or removed it may look so, and no longer at the second
// look.
func (m *Manager) unexplained(ctx context.Context) ([]stray, error) {
	first, err := m.listStrays(ctx)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := m.listStrays(ctx)
	return slices.DeleteFunc(second, func(s stray) bool { return !slices.Contains(first, s) }), err
}

func (m *Manager) listStrays(ctx context.Context) ([]stray, error) {
	// In this order: what is made in between is not there yet.
	found, err := m.backend.List(ctx, m.prefix)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	err = models.EachTenant(ctx, m.core, models.Selection{}, func(record *models.Tenant) error {
		known[record.DatabaseName], known[record.Role], known[m.roleName(record.ID)] = true, true, true
		if !record.Status.IsSettled() { // it may have been interrupted before it was renamed
			known[m.privateName(record.ID)] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var strays []stray
	add := func(noun, name, kind, owner string) {
		if s, ours := m.strayOf(noun, name, kind); ours && !known[owner] {
			strays = append(strays, s)
		}
	}
	for _, name := range found.Databases {
		add(databaseNoun, name, spareKind, name)
	}
	for _, name := range found.Roles {
		add(roleNoun, name, roleKind, name)
	}
	for _, file := range found.Files {
		name, _, _ := strings.Cut(file, ".")
		add(fileNoun, file, spareKind, name)
	}
	return strays, nil
}

// strayOf reports whether something of that name would be unexplained here
// without a row. With two underscores and another id it is another core's.
func (m *Manager) strayOf(noun, name, kind string) (s stray, ours bool) {
	s = stray{noun: noun, name: name, private: strings.HasPrefix(name, m.privatePrefix(kind))}
	return s, s.private || noun != roleNoun && !strings.HasPrefix(name, m.prefix+"_")
}

// report warns of what is unexplained, of each thing once.
func (m *Manager) report(ctx context.Context) {
	strays, err := m.unexplained(ctx)
	if err != nil {
		m.logger.WarnContext(ctx, "look for what is nobody's", "error", err)
		return
	}
	for _, s := range strays {
		if !m.reported[s] {
			m.reported[s] = true
			m.logger.WarnContext(ctx, "found what no tenant explains: see tenants doctor", "kind", s.noun, "name", s.name)
		}
	}
}
