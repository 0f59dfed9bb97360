package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"multitenant/models"
	"multitenant/tenants"
)

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
