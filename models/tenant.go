package models

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
)

// TenantStatus says how far a tenant is in its life.
type TenantStatus string

// A tenant begins as a database without a slug: making until it is whole, then
// spare, until it is claimed. It has no slug before that. Claimed, it is
// provisioning until its first user is written and its database has its public name,
// then ready; the owner may suspend and resume it. Deleting is for good. Undoing is the end of one that never was
// whole: a database that bears its name need not be its own. The rest of
// either is removed by the next process that finds it.
const (
	TenantMaking       TenantStatus = "making"
	TenantSpare        TenantStatus = "spare"
	TenantProvisioning TenantStatus = "provisioning"
	TenantReady        TenantStatus = "ready"
	TenantSuspended    TenantStatus = "suspended"
	TenantDeleting     TenantStatus = "deleting"
	TenantUndoing      TenantStatus = "undoing"
)

// statuses are all there are.
func statuses() []TenantStatus {
	return []TenantStatus{
		TenantMaking, TenantSpare, TenantProvisioning, TenantReady, TenantSuspended, TenantDeleting, TenantUndoing,
	}
}

// IsFinished reports whether nothing is being done to the tenant: it is whole,
// and stays until it is changed or deleted. Those that are make the fleet.
func (s TenantStatus) IsFinished() bool {
	return slices.Contains(finished(), s)
}

func finished() []TenantStatus {
	return []TenantStatus{TenantReady, TenantSuspended, TenantSpare}
}

// Tenant is a row of the registry in the core database, which alone decides
// whether a tenant exists.
type Tenant struct {
	ID           string `gorm:"primaryKey"` // a random UUID, never used again
	Slug         Slug   // empty until it is claimed
	DatabaseName string
	Status       TenantStatus
	// Role is the PostgreSQL role its database is entered by; empty where it has
	// none, and the application's own is used.
	Role string
	// SchemaVersion is the last migration its database has; empty while no
	// version of ours is known, as in a tenant that was taken over.
	SchemaVersion string
	Error         string // what last went wrong with it, for the operator
	CreatedAt     time.Time
	UpdatedAt     time.Time
	// Registration says who may register in a tenant without an organization, which has
	// its own.
	Registration Registration
	// SuspendedByOwner says that an owner inside has suspended it, who may then resume it.
	// It is false for one that the operator, or the owner of its organization, has suspended.
	SuspendedByOwner bool
	// BackupDue says that it is being deleted and must be backed up before its database
	// goes.
	BackupDue bool

	Owner Owner `gorm:"-"` // of ListTenants only
}

// Owner is what a tenant has to know of the core user who owns its organization.
// The zero value is that of a tenant without one.
type Owner struct {
	ID           int64
	IsActive     bool
	SessionEpoch int64
}

// Installation is the one row that tells this core database from all others.
type Installation struct {
	ID string
	// DatabasePrefix begins the names of the tenants' databases, for good.
	DatabasePrefix string
	// Secret is what the passwords of the tenants' roles are derived from.
	Secret string
}

// TableName names the table; GORM asks for it.
func (Installation) TableName() string { return "core_installation" }

// FindInstallation returns the identity of the core database.
func FindInstallation(ctx context.Context, db *gorm.DB) (Installation, error) {
	return gorm.G[Installation](db).Take(ctx)
}

// CreateTenant takes the slug; KindSlugTaken when it is taken.
func CreateTenant(ctx context.Context, db *gorm.DB, tenant *Tenant) error {
	return insertTenant(gorm.G[Tenant](db).Create(ctx, tenant))
}

// insertTenant translates the error of a statement that takes a slug. The name of the
// tenant's database follows from the slug.
func insertTenant(err error) error {
	return insert(err, ErrSlugTaken, "ix_tenants_slug", "ix_tenants_database_name")
}

// FindTenant returns the tenant with that id, or KindTenantNotFound.
func FindTenant(ctx context.Context, db *gorm.DB, id string) (Tenant, error) {
	tenant, err := gorm.G[Tenant](db).Where("id = ?", id).Take(ctx)
	return tenant, lookup(err, ErrTenantNotFound)
}

// FindTenantBySlug returns the tenant with that slug or alias, or KindTenantNotFound.
func FindTenantBySlug(ctx context.Context, db *gorm.DB, slug Slug) (Tenant, error) {
	tenant, err := gorm.G[Tenant](db).Where("id = (?)", named(db, slug)).Take(ctx)
	return tenant, lookup(err, ErrTenantNotFound)
}

// HasDatabase reports whether the database of that name is a tenant's, or was one's and is
// kept. A tenant keeps its database's name when it is renamed.
func HasDatabase(ctx context.Context, db *gorm.DB, name string) (bool, error) {
	var found bool
	err := db.WithContext(ctx).Raw("SELECT EXISTS (?) OR EXISTS (?)",
		db.Model(&Tenant{}).Select("1").Where("database_name = ?", name),
		db.Model(&ReplacedDatabase{}).Select("1").Where("database_name = ?", name)).Scan(&found).Error
	return found, err
}

// ListTenants returns those of the tenants that are registered, with their owners.
func ListTenants(ctx context.Context, db *gorm.DB, ids []string) ([]Tenant, error) {
	var rows []struct {
		Tenant            Tenant `gorm:"embedded"`
		OwnerID           *int64
		OwnerIsActive     *bool
		OwnerSessionEpoch *int64
	}
	err := db.WithContext(ctx).Table("tenants").
		Select("tenants.*, u.id AS owner_id, u.is_active AS owner_is_active, u.session_epoch AS owner_session_epoch").
		Joins("LEFT JOIN organizations o ON o.tenant_id = tenants.id LEFT JOIN core_users u ON u.id = o.owner_id").
		Where("tenants.id IN ?", ids).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	tenants := make([]Tenant, len(rows))
	for i, row := range rows {
		tenants[i] = row.Tenant
		if row.OwnerID != nil {
			tenants[i].Owner = Owner{
				ID: *row.OwnerID, IsActive: row.OwnerIsActive != nil && *row.OwnerIsActive, SessionEpoch: *row.OwnerSessionEpoch,
			}
		}
	}
	return tenants, nil
}

// ListUnfinishedTenants returns those that are being made or removed.
func ListUnfinishedTenants(ctx context.Context, db *gorm.DB) ([]Tenant, error) {
	return gorm.G[Tenant](db).Where(unsettled).Where("status NOT IN ?", finished()).Order("created_at").Find(ctx)
}

// MoveTenant changes the status of a tenant that is in one of the states from,
// and reports whether it was. No owner inside has suspended it then.
func MoveTenant(ctx context.Context, db *gorm.DB, id string, to TenantStatus, from ...TenantStatus) (bool, error) {
	moved, err := gorm.G[Tenant](db).Where("id = ? AND status IN ?", id, from).
		Select("status", "suspended_by_owner").Updates(ctx, Tenant{Status: to})
	return moved > 0, err
}

// SuspendAgain suspends a tenant that was suspended when it was deleted and comes back.
func SuspendAgain(ctx context.Context, db *gorm.DB, id string, byOwner bool) error {
	_, err := gorm.G[Tenant](db).Where("id = ?", id).
		Select("status", "suspended_by_owner").Updates(ctx, Tenant{Status: TenantSuspended, SuspendedByOwner: byOwner})
	return err
}

// RecordSchema keeps the tenant's SchemaVersion and Role, and its Error: what
// kept it from having the newest, if anything did.
func RecordSchema(ctx context.Context, db *gorm.DB, tenant *Tenant) error {
	_, err := gorm.G[Tenant](db).Where("id = ?", tenant.ID).Select("schema_version", "role", "error").Updates(ctx, *tenant)
	return err
}

// FindOwner returns the core user who owns the organization of that tenant;
// KindUserNotFound for a tenant that has none.
func FindOwner(ctx context.Context, db *gorm.DB, tenantID string) (CoreUser, error) {
	owner, err := gorm.G[CoreUser](db).
		Where("id = (?)", db.Model(&Organization{}).Select("owner_id").Where("tenant_id = ?", tenantID)).Take(ctx)
	return owner, lookup(err, ErrUserNotFound)
}

// OtherSlugBegins reports whether a tenant other than that one has a slug or an alias that
// begins so.
func OtherSlugBegins(ctx context.Context, db *gorm.DB, id, start string) (bool, error) {
	aliases := db.Model(&SlugAlias{}).Select("tenant_id").Where("substr(slug, 1, ?) = ?", len(start), start)
	others, err := gorm.G[Tenant](db).
		Where("id <> ?", id).Where("(substr(slug, 1, ?) = ? OR id IN (?))", len(start), start, aliases).Count(ctx, "id")
	return others > 0, err
}
