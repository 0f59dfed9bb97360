package tenants

import (
	"errors"

	"multitenant/models"
)

// ChangeOwner applies a change of a core user to the open tenants that the user
// owns, at once; other processes see it within maxAge.
func (m *Manager) ChangeOwner(owner models.Owner) {
	m.handles.ownerChanged(owner)
}

// ClassifyCore turns an error of the core database into KindCoreUnavailable if the
// database is unreachable. It returns any other error as it is.
func (m *Manager) ClassifyCore(err error) error {
	if _, known := errors.AsType[*models.Error](err); !known && IsUnavailable(err) {
		return models.ErrCoreUnavailable.Because(err)
	}
	return err
}
