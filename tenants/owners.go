package tenants

import (
	"errors"

	"multitenant/models"
)

// OwnerChanged notes that this process has changed a core user. Requests that come later
// see it in the tenants that the user owns, those of other processes within maxAge.
func (m *Manager) OwnerChanged(userID int64) {
	m.handles.ownerChanged(userID)
}

// ClassifyCore turns an error of the core database into KindCoreUnavailable if the
// database is unreachable. It returns any other error as it is.
func (m *Manager) ClassifyCore(err error) error {
	if _, known := errors.AsType[*models.Error](err); !known && IsUnavailable(err) {
		return models.ErrCoreUnavailable.Because(err)
	}
	return err
}
