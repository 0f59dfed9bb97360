package models

import (
	"context"
	"slices"

	"gorm.io/gorm"
)

// Registration says who may register in a tenant.
type Registration string

// The registration modes: all users who know the slug, those with an invitation, or
// none may register.
const (
	RegistrationOpen   Registration = "open"
	RegistrationInvite Registration = "invite"
	RegistrationClosed Registration = "closed"
)

// IsValid reports whether there is such a choice.
func (r Registration) IsValid() bool {
	return slices.Contains([]Registration{RegistrationOpen, RegistrationInvite, RegistrationClosed}, r)
}

// Admit says whether a user may register, with an invitation or without:
// KindInvitationRequired, KindRegistrationClosed. An unknown mode is closed.
func (r Registration) Admit(invited bool) error {
	switch {
	case r == RegistrationOpen, r == RegistrationInvite && invited:
		return nil
	case r == RegistrationInvite:
		return Errorf(KindInvitationRequired, "Invitation required")
	}
	return Errorf(KindRegistrationClosed, "Registration is closed")
}

// FindRegistration returns the tenant with that slug or alias, or KindTenantNotFound, and
// who may register in it, which its organization says if it has one.
func FindRegistration(ctx context.Context, db *gorm.DB, slug Slug) (Tenant, Registration, error) {
	var row struct {
		Tenant         Tenant `gorm:"embedded"`
		OfOrganization *Registration
	}
	err := db.WithContext(ctx).Table("tenants").
		Select("tenants.*, o.registration AS of_organization").
		Joins("LEFT JOIN organizations o ON o.tenant_id = tenants.id").
		Where("tenants.id = (?)", named(db, slug)).Take(&row).Error
	if row.OfOrganization != nil {
		return row.Tenant, *row.OfOrganization, nil
	}
	return row.Tenant, row.Tenant.Registration, lookup(err, ErrTenantNotFound)
}
