package models

import (
	"context"

	"gorm.io/gorm"
)

// userChange is one kind of change of a user, as it is recorded.
type userChange struct {
	action Action
	detail string
}

// changesOf lists the kinds of changes between two states of a user. A request that
// changes nothing counts as an update.
func changesOf(before, after *TenantUser) []userChange {
	var changes []userChange
	if before.Role != after.Role {
		changes = append(changes, userChange{ActionUserRoleChanged, string(before.Role + " to " + after.Role)})
	}
	switch {
	case before.IsActive && !after.IsActive:
		changes = append(changes, userChange{action: ActionUserDeactivated})
	case !before.IsActive && after.IsActive:
		changes = append(changes, userChange{action: ActionUserActivated})
	}
	if len(changes) == 0 || !isAlike(before, after) {
		changes = append(changes, userChange{action: ActionUserUpdated})
	}
	return changes
}

// recordAllButLast records the changes with one event each, and puts the last one
// into event, for the caller to record.
func recordAllButLast(ctx context.Context, tx *gorm.DB, event *Event, changes []userChange) error {
	for i, change := range changes {
		event.Action, event.Detail = change.action, change.detail
		if i == len(changes)-1 {
			break
		}
		one := *event
		if err := Record(ctx, tx, &one); err != nil {
			return err
		}
	}
	return nil
}

// isAlike compares the profiles of two states.
func isAlike(a, b *TenantUser) bool {
	return isSame(a.FullName, b.FullName) && isSame(a.Bio, b.Bio) && isSame(a.Phone, b.Phone)
}

func isSame(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
