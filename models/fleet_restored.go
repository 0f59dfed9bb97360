package models

import (
	"context"

	"gorm.io/gorm"
)

// TakeOverCore makes core, which was made of a backup, fit to be used again, and records
// the event. It removes sessions and password resets, which may have ended since the
// backup was made, operations that had not ended, and the tenants that were being made or
// removed then, the spares and what restores had replaced:
// their databases are not brought back.
func TakeOverCore(ctx context.Context, db *gorm.DB, event *Event) error {
	return recorded(ctx, db, event, func(tx *gorm.DB) error {
		if _, err := gorm.G[Session](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[PasswordReset](tx).Where("id IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[ReplacedDatabase](tx).Where("database_name IS NOT NULL").Delete(ctx); err != nil {
			return err
		}
		if _, err := gorm.G[Operation](tx).Where("ended_at IS NULL").Delete(ctx); err != nil {
			return err
		}
		lost, err := gorm.G[Tenant](tx).Where("status NOT IN ?", []TenantStatus{TenantReady, TenantSuspended}).Find(ctx)
		if err != nil {
			return err
		}
		for i := range lost {
			if err := DeleteTenant(ctx, tx, lost[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// FindFleetRestore returns the event that began the restoration of the fleet; nil if none
// was begun that has not ended.
func FindFleetRestore(ctx context.Context, db *gorm.DB) (*Event, error) {
	events, err := gorm.G[Event](db).Where("action IN ?", []Action{ActionFleetRestoreBegun, ActionFleetRestored}).
		Order("id DESC").Limit(1).Find(ctx)
	if err != nil || len(events) == 0 || events[0].Action == ActionFleetRestored {
		return nil, err
	}
	return &events[0], nil
}
