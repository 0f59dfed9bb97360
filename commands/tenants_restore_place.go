package commands

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/models"
	"multitenant/tenants"
)

// replacedView is a tenant whose database was replaced.
type replacedView struct {
	tenantView

	Backup  string      `json:"backup"`   // empty after --undo
	TakenAt *time.Time  `json:"taken_at"` // null after --undo
	Changes changesView `json:"changes"`
}

// changesView says what became of the tenant's users.
type changesView struct {
	Return    changeView `json:"return"`
	Leave     changeView `json:"leave"`
	Roles     changeView `json:"roles"`
	Passwords changeView `json:"passwords"`
}

type changeView struct {
	Count int      `json:"count"`
	Some  []string `json:"some"` // addresses
}

func newChangeView(change *models.UserChange) changeView {
	return changeView{Count: change.Count, Some: append([]string{}, change.Some...)}
}

func newChangesView(changes *models.UserChanges) changesView {
	return changesView{
		Return: newChangeView(&changes.Return), Leave: newChangeView(&changes.Leave),
		Roles: newChangeView(&changes.Roles), Passwords: newChangeView(&changes.Passwords),
	}
}

// sentences says it for people.
func (v *changesView) sentences() string {
	var text strings.Builder
	for _, change := range []struct {
		view *changeView
		verb string
	}{
		{&v.Return, "return"}, {&v.Leave, "leave"}, {&v.Roles, "get another role"}, {&v.Passwords, "get another password"},
	} {
		if change.view.Count == 0 {
			continue
		}
		fmt.Fprintf(&text, " %d of the users %s: %s", change.view.Count, change.verb, strings.Join(change.view.Some, ", "))
		if change.view.Count > len(change.view.Some) {
			text.WriteString(", …")
		}
		text.WriteString(".")
	}
	if text.Len() == 0 {
		return " No user returns, leaves, or gets another role or password."
	}
	return text.String()
}

// replacement is how the database of a tenant is replaced.
type replacement struct {
	question string
	view     replacedView
	do       func(*tenants.Restoration) error
}

// runInPlace puts a backup in the place of the tenant's database.
func (c *tenantsRestoreCommand) runInPlace(ctx context.Context, in *installation, m *tenants.Manager, record *models.Tenant) error {
	inv := in.invocation
	return in.withBackups(ctx, func(all *backups.Backups, identities []age.Identity) error {
		choice, err := all.Choose(ctx, record.Slug, c.wanted(), identities)
		if err != nil {
			return tenantError(c.Slug, err)
		}
		taken := choice.Record.TakenAt
		err = c.replace(ctx, inv, m, record, &replacement{
			question: fmt.Sprintf("Tenant %q will be as of %s.", c.Slug, taken.Format(time.RFC3339)),
			view:     replacedView{Backup: choice.Record.ID, TakenAt: &taken},
			do: func(r *tenants.Restoration) error {
				r.Event.Detail = choice.Record.ID + " in place"
				bar := startProgress(inv, "restoring")
				finish, ask := sync.OnceFunc(bar.finish), r.Confirm
				defer finish()
				r.Confirm = func(changes *models.UserChanges) error {
					finish() // before the question
					return ask(changes)
				}
				return all.RestoreInPlace(ctx, m, choice, r, inMegabytes(bar, choice.Record.Bytes))
			},
		})
		if err == nil && !c.JSON {
			sayLacks(inv, choice)
		}
		return err
	})
}

// undo puts the replaced database back.
func (c *tenantsRestoreCommand) undo(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		record, err := c.find(ctx, m)
		if err != nil {
			return err
		}
		last, err := models.FindReplaced(ctx, m.Core(), record.ID)
		if err != nil {
			return tenantError(c.Slug, err)
		}
		return c.replace(ctx, inv, m, &record, &replacement{
			question: fmt.Sprintf("Tenant %q will have the database again that was replaced at %s.",
				c.Slug, last.ReplacedAt.Format(time.RFC3339)),
			do: func(r *tenants.Restoration) error {
				r.Event.Detail = "undone"
				return m.UndoRestore(ctx, r)
			},
		})
	})
}

// replace asks, replaces the database and shows the tenant.
func (c *tenantsRestoreCommand) replace(
	ctx context.Context, inv *Invocation, m *tenants.Manager, record *models.Tenant, r *replacement,
) error {
	org, err := organizationOf(ctx, m.Core(), record)
	if err != nil {
		return tenantError(c.Slug, err)
	}
	err = r.do(&tenants.Restoration{
		Tenant: record,
		Event:  eventAbout(models.ActionOrganizationRestored, record, org),
		Confirm: func(changes *models.UserChanges) error {
			r.view.Changes = newChangesView(changes)
			return confirm(inv, c.Yes, r.question+r.view.Changes.sentences(), c.Slug)
		},
	})
	if err != nil {
		return tenantError(c.Slug, err)
	}
	now, err := models.FindTenant(ctx, m.Core(), record.ID)
	if err != nil {
		return tenantError(c.Slug, err)
	}
	r.view.tenantView = newTenantView(&now)
	if c.JSON {
		return writeJSON(inv.Stdout, r.view)
	}
	say(inv.Stdout, fmt.Sprintf("tenant %q is restored.%s", c.Slug, r.view.Changes.sentences()))
	return nil
}
