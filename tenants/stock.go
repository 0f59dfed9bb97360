package tenants

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"multitenant/database"
	"multitenant/models"
)

const (
	// refillTimeout bounds the making of one spare.
	refillTimeout = time.Minute
	// spareCandidates is how many spares are tried before one is made: those
	// whose lock is not free are being claimed by others.
	spareCandidates = 8
	// stockKey is the lock of whoever fills up the stock.
	stockKey = "spares"
)

// What bears a private name: a database that is nobody's, and a tenant's role.
const (
	spareKind = "spare"
	roleKind  = "role"
)

// lockSpare locks a spare that nobody else is about to claim; the session is
// nil where there is none.
func (m *Manager) lockSpare(ctx context.Context) (database.Session, *models.Tenant, error) {
	spares, err := models.ListSpares(ctx, m.core, m.version, spareCandidates)
	if err != nil {
		return nil, nil, err
	}
	for i := range spares {
		session, free, err := m.backend.TryLock(ctx, lockKey(spares[i].ID))
		if err != nil {
			return nil, nil, err
		}
		if !free {
			continue
		}
		// It may have been claimed between the two.
		record, err := models.FindTenant(ctx, m.core, spares[i].ID)
		if err == nil && record.Status == models.TenantSpare {
			return session, &record, nil
		}
		session.Unlock()
		if err != nil && !models.IsKind(err, models.KindTenantNotFound) {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// newRecord describes a database that is nobody's and is to be made.
func (m *Manager) newRecord() *models.Tenant {
	record := &models.Tenant{ID: uuid.NewString(), Status: models.TenantMaking, SchemaVersion: m.version}
	record.DatabaseName = m.privateName(record.ID)
	if m.canCreateRoles() {
		record.Role = m.roleName(record.ID)
	}
	return record
}

// build makes a database that is nobody's: registered, with its role, then
// empty, migrated, stamped, and closed again. The lock on its id is held.
func (m *Manager) build(ctx context.Context, session database.Session, record *models.Tenant) error {
	err := m.core.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := models.CreateTenant(ctx, tx, record); err != nil || record.Role == "" {
			return err
		}
		return m.roles.Create(tx, m.login(record))
	})
	if err != nil {
		return fmt.Errorf("register new database: %w", err)
	}
	m.step(StepReserved)
	if err := session.Create(ctx, record.DatabaseName); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	m.step(StepCreated)
	db, err := m.backend.OpenDatabase(ctx, record.DatabaseName, nil)
	if err != nil {
		return fmt.Errorf("open new database: %w", err)
	}
	err = m.migrate(ctx, db, record.Role)
	if err == nil {
		err = models.CreateStamp(ctx, db, record.ID)
	}
	if err := errors.Join(err, database.Close(db)); err != nil {
		return fmt.Errorf("migrate new database: %w", err)
	}
	m.step(StepBuilt)
	return nil
}

// stock keeps the stock of spares filled, until ctx ends.
func (m *Manager) stock(ctx context.Context) {
	if m.spares == 0 {
		return
	}
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		if err := m.refill(ctx); err != nil && ctx.Err() == nil {
			m.logger.ErrorContext(ctx, "make spare database", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.claimed:
		case <-ticker.C:
		}
	}
}

// refill brings the spares there are up to this code's schema and makes those
// that lack. One process does so at a time, and one database after the other:
// the server makes them no faster side by side.
func (m *Manager) refill(ctx context.Context) error {
	session, free, err := m.backend.TryLock(ctx, stockKey)
	if err != nil {
		return err
	}
	if !free {
		// Whoever has it may have counted before the last claim.
		time.AfterFunc(tryAgainAfter, m.refillSoon)
		return nil
	}
	defer session.Unlock()
	old, err := models.ListOldSpares(ctx, m.core, m.version)
	if err != nil {
		return err
	}
	for i := range old {
		if err := m.migrateIfBehind(ctx, &old[i]); err != nil {
			m.logger.ErrorContext(ctx, "migrate spare database", "database", old[i].DatabaseName, "error", err)
		}
	}
	for {
		count, err := models.CountSpares(ctx, m.core, m.version)
		if err != nil || count >= int64(m.spares) {
			return err
		}
		if err := m.makeSpare(ctx); err != nil {
			return err
		}
	}
}

// makeSpare makes one. What is left where that fails is the reconciler's.
func (m *Manager) makeSpare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refillTimeout)
	defer cancel()
	if err := m.making.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.making.Release(1)
	record := m.newRecord()
	session, err := m.lock(ctx, record.ID)
	if err != nil {
		return err
	}
	defer session.Unlock()
	if err := m.build(ctx, session, record); err != nil {
		return m.undo(ctx, session, record, err)
	}
	if _, err := models.MoveTenant(ctx, m.core, record.ID, models.TenantSpare, models.TenantMaking); err != nil {
		return err
	}
	m.step(StepSpare)
	return nil
}

// refillSoon asks the background for a refill. It never blocks.
func (m *Manager) refillSoon() {
	select {
	case m.claimed <- struct{}{}:
	default:
	}
}

// privateName is the name of a database while it is nobody's. It can be no
// tenant's public name, since no slug begins with an underscore.
func (m *Manager) privateName(id string) string {
	return m.privatePrefix(spareKind) + shortID(id)
}

// privatePrefix begins the names of what is the service's own: with the core's
// id in it, so that several installations can share a server.
func (m *Manager) privatePrefix(kind string) string {
	return m.prefix + "_" + kind + "_" + strings.ReplaceAll(m.installation.ID, "-", "")[:12] + "_"
}

func shortID(id string) string { return strings.ReplaceAll(id, "-", "")[:16] }
