package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"multitenant/models"
	"multitenant/tenants/fleet"
)

// The orders of tenants list.
const (
	bySlug    = "slug"
	byCreated = "created"
	bySize    = "size"
)

type tenantsListCommand struct {
	Status *models.TenantStatus `enum:"provisioning,ready,suspended,deleting,undoing" placeholder:"STATUS" help:"Only tenants that are provisioning, ready, suspended, deleting or undoing."`
	Owner  string               `placeholder:"EMAIL" help:"Only tenants of this core user."`
	Behind bool                 `help:"Only tenants that migrate would change."`
	Sort   string               `enum:"slug,created,size" default:"slug" help:"By slug; by created, the oldest first; or by size, the largest first."`
	Limit  int                  `help:"So many at most."`
	Size   bool                 `help:"Show the size of each database. On PostgreSQL that takes some milliseconds each. --sort size does it for all."`
	JSON   bool                 `name:"json" help:"Write an array of JSON."`
}

// Validate is called by kong.
func (c *tenantsListCommand) Validate() error {
	if c.Limit < 0 {
		return errors.New("--limit must not be negative")
	}
	return nil
}

// tenantListView is a tenant of the list as programs see it.
type tenantListView struct {
	tenantView

	OwnerEmail *string `json:"owner_email"` // null for a tenant without an organization
	SizeBytes  *int64  `json:"size_bytes"`  // null where it was not asked for, or cannot be read
	AgeSeconds int64   `json:"age_seconds"`

	hasSize bool // whether the table has the column
}

func (v *tenantListView) row() string {
	size, owner := "", noOwner
	if v.OwnerEmail != nil {
		owner = *v.OwnerEmail
	}
	switch {
	case v.hasSize && v.SizeBytes == nil:
		size = "\t?"
	case v.hasSize:
		size = "\t" + inMB(*v.SizeBytes)
	}
	return fmt.Sprintf("%s\t%s\t%s%s\t%s\t%s\t%s", v.name(), owner, v.state(), size, orNone(v.SchemaVersion),
		inWords(time.Duration(v.AgeSeconds)*time.Second), oneLine(v.Error))
}

// Run lists. The order is read at once, which takes little memory, and the rest by pages.
func (c *tenantsListCommand) Run(ctx context.Context, inv *Invocation) error {
	return withInstalledFleet(ctx, inv, false, func(in *installation, all *fleet.Fleet) error {
		keys, sizes, err := c.choose(ctx, in, all)
		if err != nil {
			return err
		}
		heading := "TENANT\tOWNER\tSTATUS\tSCHEMA\tAGE\tERROR"
		if c.Size || c.Sort == bySize {
			heading = "TENANT\tOWNER\tSTATUS\tSIZE\tSCHEMA\tAGE\tERROR"
		}
		list := newListing(inv, c.JSON, heading)
		for page := range slices.Chunk(keys, listingRows) {
			if c.Size && c.Sort != bySize {
				if sizes, err = sizesOf(ctx, in, page); err != nil {
					return err
				}
			}
			if err := c.page(ctx, in, list, page, sizes); err != nil {
				return err
			}
		}
		return list.end()
	})
}

// choose returns the tenants in their order, and the sizes of their databases where that
// needs them.
func (c *tenantsListCommand) choose(
	ctx context.Context, in *installation, all *fleet.Fleet,
) (keys []models.TenantKey, sizes map[string]int64, err error) {
	selection := models.Selection{}
	if c.Behind {
		selection = all.Behind()
	}
	selection.Claimed = true
	if c.Status != nil {
		selection.Status = *c.Status
	}
	core := in.backend.Core()
	if c.Owner != "" {
		owner, err := models.FindUserByEmail[models.CoreUser](ctx, core, c.Owner)
		if err != nil {
			return nil, nil, ownerError(err)
		}
		selection.OwnerID = owner.ID
	}
	keys, err = models.ListTenantKeys(ctx, core, selection, c.Sort == byCreated)
	if err == nil && c.Sort == bySize {
		sizes, err = sizesOf(ctx, in, keys)
		slices.SortStableFunc(keys, func(a, b models.TenantKey) int {
			return cmp.Compare(sizes[b.DatabaseName], sizes[a.DatabaseName])
		})
	}
	if c.Limit > 0 {
		keys = keys[:min(c.Limit, len(keys))]
	}
	return keys, sizes, err
}

// sizesOf asks for the sizes of so many databases at once that no question is long.
func sizesOf(ctx context.Context, in *installation, keys []models.TenantKey) (map[string]int64, error) {
	sizes := make(map[string]int64, len(keys))
	for page := range slices.Chunk(keys, listingRows) {
		names := make([]string, len(page))
		for i := range page {
			names[i] = page[i].DatabaseName
		}
		found, err := in.backend.Sizes(ctx, names)
		if err != nil {
			return nil, err
		}
		maps.Copy(sizes, found)
	}
	return sizes, nil
}

func (c *tenantsListCommand) page(
	ctx context.Context, in *installation, list *listing, keys []models.TenantKey, sizes map[string]int64,
) error {
	owned, err := models.ListOwned(ctx, in.backend.Core(), keys)
	if err != nil {
		return err
	}
	for i := range owned {
		view := &tenantListView{
			tenantView: newTenantView(&owned[i].Tenant), OwnerEmail: owned[i].OwnerEmail, hasSize: sizes != nil,
			AgeSeconds: int64(time.Since(owned[i].CreatedAt).Seconds()),
		}
		if bytes, found := sizes[view.DatabaseName]; found {
			view.SizeBytes = &bytes
		}
		if err := list.add(view); err != nil {
			return err
		}
	}
	return nil
}
