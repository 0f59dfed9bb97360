package controllers

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// People lets the owners and admins of a tenant manage its people.
type People struct {
	Passwords *auth.Passwords
}

type createPersonRequest struct {
	Email    *string `json:"email"`
	Password *string `json:"password"`
	FullName *string `json:"full_name"`
	Bio      *string `json:"bio"`
	Phone    *string `json:"phone"`

	Role *models.Role `json:"role"`
}

func (r *createPersonRequest) check() error {
	var checks models.Checks
	checkAccount(&checks, r.Email, r.Password, r.FullName)
	checks.Text("bio", r.Bio, models.MaxBioLength)
	checks.Text("phone", r.Phone, models.MaxPhoneLength)
	checkNewRole(&checks, r.Role)
	return checks.Err()
}

type updatePersonRequest struct {
	updateTenantProfileRequest

	IsActive optional[bool]        `json:"is_active"`
	Role     optional[models.Role] `json:"role"`
}

func (r *updatePersonRequest) check() error {
	var checks models.Checks
	r.checkFields(&checks)
	r.IsActive.checkKept(&checks, "is_active", "must be true or false")
	if r.Role.checkKept(&checks, "role", knownRoles) {
		checkRole(&checks, *r.Role.Value)
	}
	return checks.Err()
}

// apply changes the person and returns the columns it changed.
func (r *updatePersonRequest) apply(person *models.TenantUser) []string {
	columns := r.updateTenantProfileRequest.apply(person)
	if r.IsActive.Set {
		person.IsActive = *r.IsActive.Value
		columns = append(columns, "is_active")
	}
	if r.Role.Set {
		person.Role = *r.Role.Value
		columns = append(columns, "role")
	}
	return columns
}

// Create makes a person, with a password that was chosen for them. To hash it
// takes long, so that is done before the tenant's database is asked for.
func (ctl *People) Create(c *gin.Context) (middleware.TenantHandler, error) {
	body, err := bindChecked[createPersonRequest](c)
	if err != nil {
		return nil, err
	}
	person := models.TenantUser{
		Account: models.NewAccount(*body.Email, body.FullName), Bio: body.Bio, Phone: body.Phone, Role: newRole(body.Role),
	}
	if person.HashedPassword, err = ctl.Passwords.Hash(c.Request.Context(), *body.Password); err != nil {
		return nil, err
	}
	return func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
		ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionUserCreated).By(&user.Account)
		err := models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) error {
			if err := models.CreatePerson(ctx, tx, user.ID, &person); err != nil {
				return err
			}
			event.About(models.TargetUser, person.ID, person.Email)
			return nil
		})
		if err != nil {
			return err
		}
		c.Header("Location", fmt.Sprintf("/api/users/%d", person.ID))
		c.JSON(http.StatusCreated, newTenantUserResponse(&person))
		return nil
	}, nil
}

// List shows a page of the people, or of those that ?q= is found in.
func (ctl *People) List(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	var checks models.Checks
	query := c.Query("q")
	checks.Text("q", &query, models.MaxQueryLength)
	if err := checks.Err(); err != nil {
		return err
	}
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	people, err := models.ListPeople(c.Request.Context(), tenant.DB, models.PeoplePage{
		After: min(max(p.cursor, 0), math.MaxInt32), Limit: p.more(), Query: query, // the ids of users are int4
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, people, func(person *models.TenantUser) int64 { return person.ID }, newTenantUserResponse))
	return nil
}

// Show shows one of the people.
func (ctl *People) Show(c *gin.Context, tenant *tenants.Tenant, _ *models.TenantUser) error {
	person, err := models.FindUser[models.TenantUser](c.Request.Context(), tenant.DB, personID(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&person))
	return nil
}

// Update changes one of the people: what is kept about them, their role, and
// whether they get in.
func (ctl *People) Update(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	body, err := bindChecked[updatePersonRequest](c)
	if err != nil {
		return err
	}
	var before, person models.TenantUser
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionUserUpdated).By(&user.Account)
	err = models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) (err error) {
		before, person, err = models.ChangePerson(ctx, tx, user.ID, personID(c), body.apply)
		if err != nil {
			return err
		}
		event.About(models.TargetUser, person.ID, person.Email)
		return recordEach(ctx, tx, event, models.ChangesOf(&before, &person))
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newTenantUserResponse(&person))
	return nil
}

// Remove removes one of the people.
func (ctl *People) Remove(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
	ctx, event := c.Request.Context(), middleware.NewEvent(c, models.ActionUserRemoved).By(&user.Account)
	err := models.Recorded(ctx, tenant.DB, event, func(tx *gorm.DB) error {
		person, err := models.RemovePerson(ctx, tx, user.ID, personID(c))
		event.About(models.TargetUser, person.ID, person.Email)
		return err
	})
	if err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// recordEach puts changes on record that were made at once, all but the last, which
// it leaves to the event.
func recordEach(ctx context.Context, tx *gorm.DB, event *models.Event, changes []models.Change) error {
	for i, change := range changes {
		event.Action, event.Detail = change.Action, change.Detail
		if i == len(changes)-1 {
			break
		}
		one := *event
		if err := models.Record(ctx, tx, &one); err != nil {
			return err
		}
	}
	return nil
}

// personID is the id in the path; one that is malformed is nobody's.
func personID(c *gin.Context) int64 {
	id, err := strconv.ParseInt(c.Param("id"), 10, 32)
	if err != nil {
		return 0
	}
	return id
}
