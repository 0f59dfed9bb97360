package models

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"
)

// Pruning says which events are removed: of the Limit oldest, those from before a time.
// Table is the name of the audit trail with its schema, because in a tenant's database
// the application's role searches no schema where the tenant's role could make tables.
type Pruning struct {
	Table  string
	Before time.Time
	Limit  int
}

// old is the query for these events. It reads the lowest ids, which are the oldest
// events, because times have no index.
func (p Pruning) old(columns string) string {
	return "SELECT " + columns + " FROM (SELECT id, at FROM " + p.Table + " ORDER BY id LIMIT ?) oldest WHERE at < ?"
}

// CountPrunable returns how many events PruneEvents would remove.
func CountPrunable(ctx context.Context, db *gorm.DB, p Pruning) (count int, err error) {
	err = db.WithContext(ctx).Raw(p.old("count(*)"), p.Limit, p.Before).Scan(&count).Error
	return count, err
}

// PruneEvents removes events and records how many. The caller must have lifted the
// guard of the audit trail in the transaction tx.
func PruneEvents(tx *gorm.DB, p Pruning) error {
	removed := tx.Exec("DELETE FROM "+p.Table+" WHERE id IN ("+p.old("id")+")", p.Limit, p.Before)
	if removed.Error != nil {
		return removed.Error
	}
	event := NewOperatorEvent(ActionAuditPruned)
	event.At, event.Detail = tx.NowFunc(), strconv.FormatInt(removed.RowsAffected, 10)
	if err := tx.Table(p.Table).Create(event).Error; err != nil {
		return fmt.Errorf("record %s: %w", event.Action, err)
	}
	return nil
}
