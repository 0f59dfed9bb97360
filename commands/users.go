package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/models"
	"multitenant/tenants"
)

// usersCommand has the commands about single users.
type usersCommand struct {
	group

	List          usersListCommand          `cmd:"" help:"List the users of the core, or of a tenant."`
	Create        usersCreateCommand        `cmd:"" help:"Create a user of the core, or of a tenant."`
	ResetPassword usersResetPasswordCommand `cmd:"" help:"Make a token by which a user chooses a new password."`
}

// realmFlag says which database is meant.
type realmFlag struct {
	// An empty slug is a mistake, and never means the core.
	Tenant *string `placeholder:"SLUG" help:"The tenant that is meant; the core if it is not given."`
}

// in calls atCore, or inTenant with the tenant for as long as that takes.
func (f *realmFlag) in(
	ctx context.Context, m *tenants.Manager, atCore func() error, inTenant func(*tenants.Tenant) error,
) error {
	if f.Tenant == nil {
		return atCore()
	}
	slug, err := models.ParseSlug(*f.Tenant)
	if err != nil {
		return tenantError(*f.Tenant, err)
	}
	tenant, release, err := m.AcquireEvenSuspended(ctx, slug) // the operator manages suspended tenants too
	if err != nil {
		return tenantError(*f.Tenant, err)
	}
	defer release()
	return inTenant(tenant)
}

type usersResetPasswordCommand struct {
	realmFlag `embed:""`

	Email string `arg:"" placeholder:"EMAIL" help:"The user's e-mail address."`
	JSON  bool   `name:"json" help:"Write it as JSON."`
}

// Help describes the command.
func (usersResetPasswordCommand) Help() string {
	return "The token is written to stdout, once: it is kept nowhere. Hand it to the user, who redeems it within an hour at " +
		"POST /api/auth/password-reset. It takes the place of an earlier one; until it is redeemed, the password stays as it is."
}

type passwordResetView struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
	UserID    int64     `json:"user_id"`
	Email     string    `json:"email"`
	Tenant    *string   `json:"tenant"` // null for a user of the core

	active bool
}

func (v *passwordResetView) explain() string {
	text := fmt.Sprintf("good once, until %s, for a new password of %s", v.ExpiresAt.Format(time.RFC3339), v.Email)
	if !v.active {
		text += ", who is deactivated: not before they are active again"
	}
	return text
}

// Run makes the token.
func (c *usersResetPasswordCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error { return c.issue(ctx, inv, m) })
}

func (c *usersResetPasswordCommand) issue(ctx context.Context, inv *Invocation, m *tenants.Manager) error {
	var view *passwordResetView
	err := c.in(ctx, m, func() (err error) {
		view, err = c.issueCore(ctx, m)
		return err
	}, func(tenant *tenants.Tenant) (err error) {
		view, err = c.issueTenant(ctx, tenant)
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(inv.Stdout, view)
	}
	if _, err := fmt.Fprintln(inv.Stdout, view.Token); err != nil {
		return wrapOutput(err)
	}
	say(inv.Stderr, view.explain())
	return nil
}

func (c *usersResetPasswordCommand) issueCore(ctx context.Context, m *tenants.Manager) (*passwordResetView, error) {
	user, err := models.FindUserByEmail[models.CoreUser](ctx, m.Core(), c.Email)
	if err != nil {
		return nil, userError(c.Email, "the core", err)
	}
	return issueReset(&user.Account, "", func(event *models.Event, reset *models.PasswordReset) error {
		return models.IssueCoreReset(ctx, m.Core(), event, reset)
	})
}

func (c *usersResetPasswordCommand) issueTenant(ctx context.Context, tenant *tenants.Tenant) (*passwordResetView, error) {
	user, err := models.FindUserByEmail[models.TenantUser](ctx, tenant.DB, c.Email)
	if err != nil {
		return nil, userError(c.Email, fmt.Sprintf("tenant %q", tenant.Slug), err)
	}
	view, err := issueReset(&user.Account, tenant.ID, func(event *models.Event, reset *models.PasswordReset) error {
		return models.IssueOperatorReset(ctx, tenant.DB, event, reset)
	})
	if models.IsKind(err, models.KindCorePassword) {
		return nil, fmt.Errorf("%s owns the organization of tenant %q, and their password is the core's: "+
			"reset it there, without --tenant", user.Email, tenant.Slug)
	}
	if err != nil {
		return nil, tenantError(*c.Tenant, err)
	}
	view.Tenant = c.Tenant
	return view, nil
}

func issueReset(
	user *models.Account, tenantID string, issue func(event *models.Event, reset *models.PasswordReset) error,
) (*passwordResetView, error) {
	token := auth.NewResetToken(tenantID)
	encoded, err := token.Encode()
	if err != nil {
		return nil, err
	}
	// As precisely as both engines keep it.
	reset := models.NewPasswordReset(user.ID, token.Hash(), time.Now().UTC().Truncate(time.Microsecond))
	if err := issue(models.NewOperatorEvent(models.ActionPasswordResetIssued), &reset); err != nil {
		return nil, err
	}
	return &passwordResetView{
		Token: encoded, ExpiresAt: reset.ExpiresAt, UserID: user.ID, Email: user.Email, active: user.IsActive,
	}, nil
}

// userError says whom an error is about, and where they were looked for.
func userError(email, place string, err error) error {
	if models.IsKind(err, models.KindUserNotFound) {
		return withHint(fmt.Errorf("no user at %s has the address %q", place, strings.TrimSpace(email)),
			"`multitenant users list` lists the users of the core, and with --tenant SLUG those of a tenant")
	}
	return err
}

// usersPage is how many users are read at once.
const usersPage = 500

type usersListCommand struct {
	realmFlag `embed:""`

	JSON bool `name:"json" help:"Write it as JSON."`
}

// userView is a user as programs see it.
type userView struct {
	ID        int64       `json:"id"`
	Email     string      `json:"email"`
	FullName  *string     `json:"full_name"`
	Role      models.Role `json:"role,omitempty"` // of a tenant's user
	IsActive  bool        `json:"is_active"`
	CreatedAt time.Time   `json:"created_at"`
}

func newUserView(account *models.Account, role models.Role) userView {
	return userView{
		ID: account.ID, Email: account.Email, FullName: account.FullName, Role: role, IsActive: account.IsActive,
		CreatedAt: account.CreatedAt.UTC(),
	}
}

// Run lists the users.
func (c *usersListCommand) Run(ctx context.Context, inv *Invocation) error {
	return withManager(ctx, inv, func(m *tenants.Manager) error {
		list := newListing(inv, c.JSON, "ID\tEMAIL\tNAME\tROLE\tACTIVE\tCREATED")
		err := c.in(ctx, m, func() error {
			return eachUser(ctx, m.Core(), func(user *models.CoreUser) (int64, error) {
				return user.ID, list.add(newUserView(&user.Account, ""))
			})
		}, func(tenant *tenants.Tenant) error {
			return eachUser(ctx, tenant.DB, func(user *models.TenantUser) (int64, error) {
				return user.ID, list.add(newUserView(&user.Account, user.Role))
			})
		})
		if err != nil {
			return err
		}
		return list.end()
	})
}

// eachUser calls visit, which returns the user's id, with each user.
func eachUser[U models.User](ctx context.Context, db *gorm.DB, visit func(*U) (id int64, err error)) error {
	page := models.UsersPage{Limit: usersPage}
	for {
		users, err := models.ListUsers[U](ctx, db, page)
		if err != nil {
			return err
		}
		for i := range users {
			if page.After, err = visit(&users[i]); err != nil {
				return err
			}
		}
		if len(users) < usersPage {
			return nil
		}
	}
}

func (v userView) row() string {
	name := ""
	if v.FullName != nil {
		name = strconv.Quote(*v.FullName) // it may hold what moves a terminal
	}
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%t\t%s", v.ID, v.Email, name, v.Role, v.IsActive, v.CreatedAt.Format(time.RFC3339))
}
