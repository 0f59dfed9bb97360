package controllers

import (
	"context"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth/limits"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Organizations lets core users make and manage their organizations. Each has a tenant
// of its own. A core user gets 404 for the organizations of others.
type Organizations struct {
	Tenants *tenants.Manager
	Limits  *limits.Limits
}

type createOrganizationRequest struct {
	Name        *string `json:"name"`
	Slug        *string `json:"slug"`
	Description *string `json:"description"`

	Registration *models.Registration `json:"registration"`
}

func (r *createOrganizationRequest) check() error {
	var checks models.Checks
	if r.Registration != nil {
		checkRegistration(&checks, *r.Registration)
	}
	checks.RequiredText("name", r.Name, models.MaxNameLength)
	checks.Present("slug", r.Slug)
	checks.Text("description", r.Description, models.MaxDescriptionLength)
	return checks.Err()
}

const knownRegistrations = "must be open, invite or closed"

func checkRegistration(checks *models.Checks, registration models.Registration) {
	if !registration.IsValid() {
		checks.Add("registration", "invalid_registration", knownRegistrations)
	}
}

// organization is what the request asks for.
func (r *createOrganizationRequest) organization() models.Organization {
	org := models.Organization{
		Name: *r.Name, Description: r.Description, IsActive: true, Registration: models.RegistrationOpen,
	}
	if r.Registration != nil {
		org.Registration = *r.Registration
	}
	return org
}

type updateOrganizationRequest struct {
	updateTenantRequest

	Name        optional[string] `json:"name"`
	Slug        optional[string] `json:"slug"`
	Description optional[string] `json:"description"`
}

func (r *updateOrganizationRequest) check() error {
	var checks models.Checks
	if r.Name.check(&checks, "name") {
		checks.RequiredText("name", r.Name.Value, models.MaxNameLength)
	}
	if r.Description.check(&checks, "description") {
		checks.Text("description", r.Description.Value, models.MaxDescriptionLength)
	}
	r.Slug.checkKept(&checks, "slug", "must be a slug")
	r.checkFields(&checks)
	return checks.Err()
}

// newSlug returns the slug that the request asks for, or "" if that is the organization's
// slug already.
func (r *updateOrganizationRequest) newSlug(org *models.Organization) (models.Slug, error) {
	if !r.Slug.Set || *r.Slug.Value == string(org.Slug) {
		return "", nil
	}
	return models.ParseSlug(*r.Slug.Value)
}

// apply changes the organization and returns the columns it changed, but for the slug.
func (r *updateOrganizationRequest) apply(org *models.Organization) []string {
	var columns []string
	if r.Name.Set {
		org.Name = *r.Name.Value
		columns = append(columns, "name")
	}
	if r.Description.Set {
		org.Description = r.Description.Value
		columns = append(columns, "description")
	}
	if r.IsActive.Set {
		org.IsActive = *r.IsActive.Value
	}
	if r.Registration.Set {
		org.Registration = *r.Registration.Value
	}
	return append(columns, r.fields()...)
}

type organizationResponse struct {
	ID          int64       `json:"id"`
	Name        string      `json:"name"`
	Slug        models.Slug `json:"slug"`
	Description *string     `json:"description"`
	OwnerID     int64       `json:"owner_id"`
	IsActive    bool        `json:"is_active"`
	CreatedAt   time.Time   `json:"created_at"`

	Registration models.Registration `json:"registration"`
}

func newOrganizationResponse(org *models.Organization) organizationResponse {
	return organizationResponse{
		ID:          org.ID,
		Name:        org.Name,
		Slug:        org.Slug,
		Description: org.Description,
		OwnerID:     org.OwnerID,
		IsActive:    org.IsActive,
		CreatedAt:   org.CreatedAt.UTC(),

		Registration: org.Registration,
	}
}

// Create makes an organization and its tenant, whose first user is the owner.
func (ctl *Organizations) Create(c *gin.Context, user *models.CoreUser) error {
	body, err := bindChecked[createOrganizationRequest](c)
	if err != nil {
		return err
	}
	org := body.organization()
	if org.Slug, err = models.ParseSlug(*body.Slug); err != nil {
		return err
	}
	ctx, from := c.Request.Context(), middleware.Address(c)
	allowed := tenants.Allowance{Most: ctl.Limits.Organizations(), MayMake: func() error { return ctl.Limits.Tenant(from) }}
	// The binding count is made with the slug; this one avoids making a database in vain.
	if err := models.CheckOrganizations(ctx, ctl.Tenants.Core(), user.ID, allowed.Most); err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionOrganizationCreated).By(&user.Account)
	if err := ctl.Tenants.CreateOrganization(ctx, event, &org, user, allowed); err != nil {
		return err
	}
	c.JSON(http.StatusOK, newOrganizationResponse(&org))
	return nil
}

// List shows a page of the user's organizations.
func (ctl *Organizations) List(c *gin.Context, user *models.CoreUser) error {
	p, err := pageOf(c)
	if err != nil {
		return err
	}
	after := min(max(p.cursor, 0), math.MaxInt32) // the ids of organizations are int4
	orgs, err := models.ListOrganizations(c.Request.Context(), ctl.Tenants.Core(), user.ID, after, p.more())
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, listing(p, orgs, func(org *models.Organization) int64 { return org.ID }, newOrganizationResponse))
	return nil
}

// Show shows one of the user's organizations.
func (ctl *Organizations) Show(c *gin.Context, user *models.CoreUser) error {
	org, err := models.FindOrganization(c.Request.Context(), ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, newOrganizationResponse(&org))
	return nil
}

// Update changes one of the user's organizations; is_active suspends its tenant
// and resumes it, registration says who may register in it, slug renames it.
func (ctl *Organizations) Update(c *gin.Context, user *models.CoreUser) error {
	ctx := c.Request.Context()
	org, err := models.FindOrganization(ctx, ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err != nil {
		return err
	}
	body, err := bindChecked[updateOrganizationRequest](c)
	if err != nil {
		return err
	}
	renamed := middleware.NewEvent(c, models.ActionOrganizationRenamed).By(&user.Account)
	rename, err := ctl.renaming(c, renamed, &org, &body)
	if err != nil {
		return err
	}
	if err := ctl.update(ctx, middleware.NewEvent(c, body.action()).By(&user.Account), &org, &body, rename); err != nil {
		return err
	}
	c.JSON(http.StatusOK, newOrganizationResponse(&org))
	return nil
}

// change is a part of a change, in a transaction on core.
type change = func(ctx context.Context, tx *gorm.DB) error

// renaming returns what gives the organization the slug that the request asks for, or nil.
// A new slug counts as a new tenant does: the old one stays taken.
func (ctl *Organizations) renaming(
	c *gin.Context, event *models.Event, org *models.Organization, body *updateOrganizationRequest,
) (change, error) {
	slug, err := body.newSlug(org)
	if err != nil || slug == "" {
		return nil, err
	}
	if err := ctl.Tenants.CheckNewSlug(c.Request.Context(), slug, org.OwnerID); err != nil {
		return nil, err
	}
	if err := ctl.Limits.Tenant(middleware.Address(c)); err != nil {
		return nil, err
	}
	org.Slug = slug
	event.AboutOrganization(org)
	return func(ctx context.Context, tx *gorm.DB) error {
		return ctl.Tenants.Rename(ctx, tx, event, models.Claimant{OwnerID: org.OwnerID, TenantID: org.TenantID}, slug)
	}, nil
}

func (ctl *Organizations) update(
	ctx context.Context, event *models.Event, org *models.Organization, body *updateOrganizationRequest, rename change,
) error {
	columns := body.apply(org)
	if len(columns) == 0 && rename == nil {
		return nil
	}
	event.Detail = strings.Join(columns, " ")
	all := func(ctx context.Context, tx *gorm.DB) error {
		if rename != nil {
			if err := rename(ctx, tx); err != nil {
				return err
			}
		}
		if len(columns) == 0 {
			return nil
		}
		return models.UpdateOrganization(ctx, tx, event, org, columns...)
	}
	if body.IsActive.Set {
		return ctl.Tenants.SetSuspended(ctx, org.TenantID, !org.IsActive, all)
	}
	return ctl.Tenants.Change(ctx, org.TenantID, all)
}

// Delete removes one of the user's organizations with all its data.
func (ctl *Organizations) Delete(c *gin.Context, user *models.CoreUser) error {
	ctx := c.Request.Context()
	org, err := models.FindOrganizationToDelete(ctx, ctl.Tenants.Core(), user.ID, c.Param("slug"))
	if err != nil {
		return err
	}
	event := middleware.NewEvent(c, models.ActionOrganizationDeleted).By(&user.Account)
	operation, err := ctl.Tenants.MarkDeleted(ctx, org.TenantID, event.AboutOrganization(&org))
	if err != nil {
		return err
	}
	gone, err := finishDeletion(c, ctl.Tenants, org.TenantID, operation)
	if err == nil && !gone && operation != "" {
		c.Header("Location", operationPath(operation))
	}
	return err
}
