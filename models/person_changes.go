package models

// Change is what has become of somebody, as it goes on record.
type Change struct {
	Action Action
	Detail string
}

// ChangesOf lists what is different about a person; what was merely said again is
// one of what is kept about them.
func ChangesOf(before, after *TenantUser) []Change {
	var changes []Change
	if before.Role != after.Role {
		changes = append(changes, Change{ActionUserRoleChanged, string(before.Role + " to " + after.Role)})
	}
	switch {
	case before.IsActive && !after.IsActive:
		changes = append(changes, Change{Action: ActionUserDeactivated})
	case !before.IsActive && after.IsActive:
		changes = append(changes, Change{Action: ActionUserActivated})
	}
	if len(changes) == 0 || !isAlike(before, after) {
		changes = append(changes, Change{Action: ActionUserUpdated})
	}
	return changes
}

// isAlike compares what is kept about two.
func isAlike(a, b *TenantUser) bool {
	return isSame(a.FullName, b.FullName) && isSame(a.Bio, b.Bio) && isSame(a.Phone, b.Phone)
}

func isSame(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
