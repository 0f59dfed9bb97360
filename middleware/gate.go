package middleware

import (
	"context"
	"strings"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/models"
	"multitenant/tenants"
)

// CoreHandler serves a core user.
type CoreHandler func(c *gin.Context, user *models.CoreUser) error

// TenantHandler serves a user of a tenant with that tenant's database. The handler
// gets the database as a parameter and cannot choose another.
type TenantHandler func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error

// Caller is a signed-in user of either kind.
type Caller struct {
	DB      *gorm.DB // the database that the user is in
	Account *models.Account
	Core    *models.CoreUser // nil for a user of a tenant
}

// CallerHandler serves a signed-in user of either kind, at the core or in a tenant.
type CallerHandler func(c *gin.Context, caller *Caller) error

// Gate finds the user who sends a request and the database that the request may
// touch, and calls the handler with both.
type Gate struct {
	Core    *gorm.DB
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
	Limits  *limits.Limits // nil limits nothing
}

// Public serves every caller: by tenant when X-TENANT names a tenant, else by core. An
// empty, doubled or malformed header is KindInvalidTenant, and never means the core.
func (g *Gate) Public(
	core func(c *gin.Context) error, tenant func(c *gin.Context, slug models.Slug) error,
) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		slug, named, err := namedTenant(c)
		switch {
		case err != nil:
			return err
		case named:
			return tenant(c, slug)
		}
		return core(c)
	})
}

// ByToken is Public for a handler that finds the tenant by a token in the body. slug is
// the tenant that X-TENANT names, if any, and must agree with the token.
func (g *Gate) ByToken(handler func(c *gin.Context, slug models.Slug) error) gin.HandlerFunc {
	return g.Public(func(c *gin.Context) error { return handler(c, "") }, handler)
}

// SignedIn serves the bearer of a token: by core or by tenant, as the token says. An
// X-TENANT header must agree with the token.
func (g *Gate) SignedIn(core CoreHandler, tenant TenantHandler) gin.HandlerFunc {
	return g.handle(func(c *gin.Context) error { return g.enter(c, g.Tenants.AcquireID, core, tenant) })
}

// SignedInAtCore serves the bearer of a core token. It ignores X-TENANT.
func (g *Gate) SignedInAtCore(core CoreHandler) gin.HandlerFunc {
	return g.handle(func(c *gin.Context) error {
		claims, err := g.claims(c)
		if err != nil {
			return err
		}
		if claims.Realm != auth.RealmCore {
			return models.ErrCoreTokenRequired
		}
		return g.enterCore(c, claims, core)
	})
}

// SignedInAnywhere is SignedIn for a handler that serves both kinds of users alike.
func (g *Gate) SignedInAnywhere(handler CallerHandler) gin.HandlerFunc {
	return g.SignedIn(asCore(g, handler), asTenant(handler))
}

// ManagingAnywhere is SignedInAnywhere, in a tenant for its owners and admins alone.
func (g *Gate) ManagingAnywhere(handler CallerHandler) gin.HandlerFunc {
	return g.SignedIn(asCore(g, handler), managing(asTenant(handler)))
}

func asCore(g *Gate, handler CallerHandler) CoreHandler {
	return func(c *gin.Context, user *models.CoreUser) error {
		return handler(c, &Caller{DB: g.Core, Account: &user.Account, Core: user})
	}
}

func asTenant(handler CallerHandler) TenantHandler {
	return func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error {
		return handler(c, &Caller{DB: tenant.DB, Account: &user.Account})
	}
}

// SignedInAtTenant serves the bearer of a tenant token. An X-TENANT header must agree
// with the token.
func (g *Gate) SignedInAtTenant(tenant TenantHandler) gin.HandlerFunc {
	return g.SignedIn(notAtCore, tenant)
}

// Managing is SignedInAtTenant for the owners and admins of the tenant alone.
func (g *Gate) Managing(tenant TenantHandler) gin.HandlerFunc {
	return g.SignedInAtTenant(managing(tenant))
}

// managing refuses users who are neither owners nor admins.
func managing(tenant TenantHandler) TenantHandler {
	return func(c *gin.Context, lent *tenants.Tenant, user *models.TenantUser) error {
		if !user.Role.Manages() {
			return models.ErrRoleRequired
		}
		return tenant(c, lent, user)
	}
}

// Owning is SignedInAtTenant for the owners of a tenant without an organization alone, also
// while an owner has suspended it. The owner of an organization manages it at the core.
func (g *Gate) Owning(tenant TenantHandler) gin.HandlerFunc {
	return g.handle(func(c *gin.Context) error {
		return g.enter(c, g.Tenants.AcquireIDForOwner, notAtCore, owning(tenant))
	})
}

// OwningBefore is Owning for a request that goes on, by rest, once the tenant's database
// is returned.
func (g *Gate) OwningBefore(tenant TenantHandler, rest func(c *gin.Context, tenantID string) error) gin.HandlerFunc {
	return g.handle(func(c *gin.Context) error {
		var id string
		first := func(c *gin.Context, lent *tenants.Tenant, user *models.TenantUser) error {
			id = lent.ID
			return tenant(c, lent, user)
		}
		if err := g.enter(c, g.Tenants.AcquireIDForOwner, notAtCore, owning(first)); err != nil {
			return err
		}
		return rest(c, id)
	})
}

// owning refuses users who are no owners, and tenants that belong to an organization.
func owning(tenant TenantHandler) TenantHandler {
	return func(c *gin.Context, lent *tenants.Tenant, user *models.TenantUser) error {
		if err := lent.Admit(user.Role); err != nil {
			return err
		}
		switch {
		case user.Role != models.RoleOwner:
			return models.ErrRoleRequired
		case lent.HasOrganization():
			return models.ErrCoreTokenRequired
		}
		return tenant(c, lent, user)
	}
}

func notAtCore(*gin.Context, *models.CoreUser) error { return models.ErrTenantTokenRequired }

// acquire lends the database of the tenant with that id, as one of the manager's methods.
type acquire = func(ctx context.Context, id string) (tenant *tenants.Tenant, release func(), err error)

func (g *Gate) enter(c *gin.Context, acquire acquire, core CoreHandler, tenant TenantHandler) error {
	claims, err := g.claims(c)
	if err != nil {
		return err
	}
	slug, _, err := namedTenant(c)
	if err == nil {
		err = g.Tenants.CheckAgreement(c.Request.Context(), claims.TenantID, models.Slug(claims.Tenant), slug)
	}
	if err != nil {
		return err
	}
	if claims.Realm == auth.RealmTenant {
		return g.enterTenant(c, acquire, claims, tenant)
	}
	return g.enterCore(c, claims, core)
}

// Bearer reads the bearer token (RFC 6750), only from the header Authorization. The errors:
// KindInvalidToken and KindNotAuthenticated.
func Bearer(c *gin.Context) (token string, err error) {
	values := c.Request.Header.Values("Authorization")
	if len(values) > 1 {
		return "", models.ErrInvalidToken
	}
	var scheme string
	if len(values) == 1 {
		scheme, token, _ = strings.Cut(values[0], " ")
	}
	if token == "" || !strings.EqualFold(scheme, "bearer") {
		return "", models.ErrNotAuthenticated
	}
	return token, nil
}

func (g *Gate) claims(c *gin.Context) (auth.Claims, error) {
	token, err := Bearer(c)
	if err != nil {
		return auth.Claims{}, err
	}
	claims, err := g.Tokens.Parse(token)
	if err == nil {
		SetActor(c, claims)
	}
	return claims, err
}

// namedTenant reads X-TENANT and reports whether it was sent.
func namedTenant(c *gin.Context) (slug models.Slug, named bool, err error) {
	values := c.Request.Header.Values("X-TENANT")
	if len(values) == 0 {
		return "", false, nil
	}
	slug, err = models.ParseSlug(values[0])
	if err != nil || len(values) > 1 {
		return "", true, models.Errorf(models.KindInvalidTenant, "Invalid X-TENANT header").Because(err)
	}
	SetTenant(c, slug)
	return slug, true, nil
}
