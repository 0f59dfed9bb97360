package tenants

import (
	"errors"

	"multitenant/models"
)

// ChangeOwner makes what a change of a core user means for the tenants that they
// own count here at once; other processes see it within maxAge.
func (m *Manager) ChangeOwner(owner models.Owner) {
	m.handles.ownerChanged(owner)
}

// ClassifyCore returns the error of something that was done in the core database on
// the way to a tenant, so that no tenant is blamed for it.
func (m *Manager) ClassifyCore(err error) error {
	if _, known := errors.AsType[*models.Error](err); !known && IsUnavailable(err) {
		return models.ErrCoreUnavailable.Because(err)
	}
	return err
}
