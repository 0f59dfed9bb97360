package models

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// fleetPage is how many rows of the registry are read at once.
const fleetPage = 500

// Name is what an operator calls the tenant: its slug or, where it has none, its
// database.
func (t *Tenant) Name() string {
	if t.Slug == "" {
		return t.DatabaseName
	}
	return string(t.Slug)
}

// unsettled are the tenants that are neither ready nor suspended: few, however many tenants
// there are. The index ix_tenants_unsettled has these alone, and a query uses it only if it
// has this condition, in these words.
const unsettled = "status NOT IN ('ready', 'suspended')"

// Selection picks tenants out of the registry. The zero value is all of them.
type Selection struct {
	ID string // this tenant alone
	// Claimed leaves out the databases that have no tenant yet.
	Claimed bool
	// Fleet leaves out those that are being made or removed: they are the
	// reconciler's business.
	Fleet bool
	// Versions, where they are set, are the schemas of those that count.
	Versions []string
	// Roleless adds those that have no role to those of Versions.
	Roleless bool
	// Failed picks those with an error.
	Failed bool
	// Status, if it is set, picks those with it.
	Status TenantStatus
	// OwnerID, if it is set, picks those whose organization this core user owns.
	OwnerID int64
	// Brief reads only the columns that every registry has, whatever its schema.
	Brief bool
}

// idStart is how many digits of an id the private names of its database and role have.
const idStart = 16

const briefColumns = "id, slug, database_name, status, schema_version, error, created_at, updated_at"

// where narrows a query; there is no order of versions in it, since the engines
// do not agree on the order of texts.
func (s Selection) where(db *gorm.DB) gorm.ChainInterface[Tenant] {
	query := gorm.G[Tenant](db).Where("id IS NOT NULL")
	if s.ID != "" {
		query = query.Where("id = ?", s.ID)
	}
	if s.Claimed {
		query = query.Where("slug IS NOT NULL")
	}
	if s.Fleet {
		query = query.Where("status IN ?", finished())
	}
	if s.Status != "" {
		query = query.Where("status = ?", s.Status)
	}
	if s.OwnerID > 0 {
		query = query.Where("id IN (?)", db.Model(&Organization{}).Select("tenant_id").Where("owner_id = ?", s.OwnerID))
	}
	switch {
	case s.Roleless:
		query = query.Where("schema_version IN ? OR role = ''", s.Versions)
	case s.Versions != nil:
		query = query.Where("schema_version IN ?", s.Versions)
	}
	if s.Failed {
		query = query.Where("error <> ''")
	}
	return query
}

// CountTenants counts the tenants of a selection.
func CountTenants(ctx context.Context, db *gorm.DB, s Selection) (int, error) {
	count, err := s.where(db).Count(ctx, "id")
	return int(count), err
}

// EachTenant calls do with each tenant of a selection, in the order of their
// ids, until it fails. However many there are, only some are in memory.
func EachTenant(ctx context.Context, db *gorm.DB, s Selection, do func(*Tenant) error) error {
	after := ""
	for {
		page, err := s.page(db, after).Find(ctx)
		if err != nil {
			return err
		}
		for i := range page {
			if err := do(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < fleetPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (s Selection) page(db *gorm.DB, after string) gorm.ChainInterface[Tenant] {
	query := s.where(db).Order("id").Limit(fleetPage)
	if after != "" {
		query = query.Where("id > ?", after)
	}
	if s.Brief {
		query = query.Select(briefColumns)
	}
	return query
}

// TenantKey is the least that has to be known of a tenant to find the rest.
type TenantKey struct {
	ID           string
	DatabaseName string
}

// ListTenantKeys lists the tenants of a selection in the order of their slugs, or the oldest
// first. A hundred thousand take a few megabytes.
func ListTenantKeys(ctx context.Context, db *gorm.DB, s Selection, isByAge bool) (keys []TenantKey, err error) {
	order := "slug"
	if isByAge {
		order = "created_at, slug"
	}
	return keys, s.where(db).Select("id, database_name").Order(order).Scan(ctx, &keys)
}

// OwnedTenant is a tenant with the address of its owner.
type OwnedTenant struct {
	Tenant `gorm:"embedded"`

	OwnerEmail *string // nil for a tenant without an organization
}

// ListOwned returns those of the tenants that are registered, in the order of their keys.
func ListOwned(ctx context.Context, db *gorm.DB, keys []TenantKey) ([]OwnedTenant, error) {
	ids, at := make([]string, len(keys)), make(map[string]int, len(keys))
	for i := range keys {
		ids[i], at[keys[i].ID] = keys[i].ID, i
	}
	var owned []OwnedTenant
	err := db.WithContext(ctx).Table("tenants").Select("tenants.*, u.email AS owner_email").
		Joins("LEFT JOIN organizations o ON o.tenant_id = tenants.id LEFT JOIN core_users u ON u.id = o.owner_id").
		Where("tenants.id IN ?", ids).Find(&owned).Error
	slices.SortFunc(owned, func(a, b OwnedTenant) int { return cmp.Compare(at[a.ID], at[b.ID]) })
	return owned, err
}

// ListNamed returns the tenants whose databases have one of these names, and those whose
// ids begin with one of these 16 hexadecimal digits. A text that is no such beginning is
// that of no tenant.
func ListNamed(ctx context.Context, db *gorm.DB, databases, starts []string) ([]Tenant, error) {
	query := db.WithContext(ctx).Where("database_name IN ?", databases)
	for _, start := range starts {
		first, last, ok := idRange(start)
		if ok {
			query = query.Or("id BETWEEN ? AND ?", first, last)
		}
	}
	var found []Tenant
	return found, query.Find(&found).Error
}

// idRange returns the first and the last id that begin with these 16 hexadecimal digits.
func idRange(start string) (first, last string, ok bool) {
	if _, err := hex.DecodeString(start); err != nil || len(start) != idStart || strings.ToLower(start) != start {
		return "", "", false
	}
	start = start[:8] + "-" + start[8:12] + "-" + start[12:]
	return start + "-0000-000000000000", start + "-ffff-ffffffffffff", true
}

// VersionCount says how many tenants and how many spares have a schema.
type VersionCount struct {
	SchemaVersion string
	Tenants       int
	Spares        int
}

// CountVersions counts the tenants of the fleet by their schema, in the order of
// its ids.
func CountVersions(ctx context.Context, db *gorm.DB) ([]VersionCount, error) {
	var counts []VersionCount
	err := gorm.G[Tenant](db).Select("schema_version, count(slug) AS tenants, count(*) - count(slug) AS spares").
		Where("status IN ?", finished()).Group("schema_version").Order("schema_version").Scan(ctx, &counts)
	return counts, err
}

// StatusCount says how many tenants have a status, and with how many of these
// something went wrong.
type StatusCount struct {
	Status  TenantStatus
	Tenants int
	Failed  int
}

// CountStatuses counts all tenants by their status, also where there are none.
func CountStatuses(ctx context.Context, db *gorm.DB) ([]StatusCount, error) {
	var found []StatusCount
	err := gorm.G[Tenant](db).
		Select("status, count(*) AS tenants, count(CASE WHEN error <> '' THEN 1 END) AS failed").
		Group("status").Scan(ctx, &found)
	if err != nil {
		return nil, err
	}
	counts := make([]StatusCount, 0, len(statuses()))
	for _, status := range statuses() {
		count := StatusCount{Status: status}
		for _, some := range found {
			if some.Status == status {
				count = some
			}
		}
		counts = append(counts, count)
	}
	return counts, nil
}

// ListByStatus lists at most limit tenants of that status, first those that will most
// likely stay as they are: the oldest tenants, and the newest spares, which are claimed
// last.
func ListByStatus(ctx context.Context, db *gorm.DB, status TenantStatus, limit int) ([]Tenant, error) {
	order := "created_at"
	if status == TenantSpare {
		order = "created_at DESC"
	}
	return gorm.G[Tenant](db).Where("status = ?", status).Order(order).Limit(limit).Find(ctx)
}
