package middleware

import (
	"strings"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"multitenant/auth"
	"multitenant/models"
	"multitenant/tenants"
)

// CoreHandler serves a user of the core.
type CoreHandler func(c *gin.Context, user *models.CoreUser) error

// TenantHandler serves a user of a tenant, with that tenant's database: no
// handler compiles without one, and none can choose it.
type TenantHandler func(c *gin.Context, tenant *tenants.Tenant, user *models.TenantUser) error

// Gate finds out who a request comes from and which database it may touch, and
// lets it through to the handler for just that.
type Gate struct {
	Core    *gorm.DB
	Tenants *tenants.Manager
	Tokens  *auth.Tokens
}

// Public lets everybody through: to tenant where X-TENANT names one, else to
// core. A header that is there but empty, doubled or malformed is
// KindInvalidTenant, and never means the core.
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

// ByToken is Public for what a token in the body says where to go: slug, where it is
// not empty, is what X-TENANT names, and must agree.
func (g *Gate) ByToken(handler func(c *gin.Context, slug models.Slug) error) gin.HandlerFunc {
	return g.Public(func(c *gin.Context) error { return handler(c, "") }, handler)
}

// SignedIn lets the bearer of a token through: to core or to tenant, as the
// token says. X-TENANT, where it is sent along, may only agree with it.
func (g *Gate) SignedIn(core CoreHandler, tenant TenantHandler) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error { return g.enter(c, core, tenant) })
}

// SignedInAtCore lets the bearer of a core token through. X-TENANT is ignored.
func (g *Gate) SignedInAtCore(core CoreHandler) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
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

// SignedInAtTenant lets the bearer of a tenant token through. X-TENANT, where it
// is sent along, may only agree with it.
func (g *Gate) SignedInAtTenant(tenant TenantHandler) gin.HandlerFunc {
	return g.SignedIn(notAtCore, tenant)
}

// Managing is SignedInAtTenant for the owners and admins of the tenant alone.
func (g *Gate) Managing(tenant TenantHandler) gin.HandlerFunc {
	return g.SignedInAtTenant(managing(tenant))
}

// ManagingAfter is Managing for what takes long to prepare and needs no database
// for it: whoever may not is told so before, and again after, and the tenant's
// database is not kept meanwhile. What prepare returns serves the request.
func (g *Gate) ManagingAfter(prepare func(c *gin.Context) (TenantHandler, error)) gin.HandlerFunc {
	admit := managing(func(*gin.Context, *tenants.Tenant, *models.TenantUser) error { return nil })
	return Handle(func(c *gin.Context) error {
		if err := g.enter(c, notAtCore, admit); err != nil {
			return err
		}
		tenant, err := prepare(c)
		if err != nil {
			return err
		}
		return g.enter(c, notAtCore, managing(tenant))
	})
}

// SignedInOrManaging is SignedIn for every core user, but in a tenant for its owners
// and admins alone.
func (g *Gate) SignedInOrManaging(core CoreHandler, tenant TenantHandler) gin.HandlerFunc {
	return g.SignedIn(core, managing(tenant))
}

// managing keeps all but owners and admins from the handler.
func managing(tenant TenantHandler) TenantHandler {
	return func(c *gin.Context, lent *tenants.Tenant, user *models.TenantUser) error {
		if !user.Role.Manages() {
			return models.ErrRoleRequired
		}
		return tenant(c, lent, user)
	}
}

func notAtCore(*gin.Context, *models.CoreUser) error { return models.ErrTenantTokenRequired }

func (g *Gate) enter(c *gin.Context, core CoreHandler, tenant TenantHandler) error {
	claims, err := g.claims(c)
	if err != nil {
		return err
	}
	slug, named, err := namedTenant(c)
	if err != nil {
		return err
	}
	if named && string(slug) != claims.Tenant {
		return models.ErrTenantTokenRequired
	}
	if claims.Realm == auth.RealmTenant {
		return g.enterTenant(c, claims, tenant)
	}
	return g.enterCore(c, claims, core)
}

func (g *Gate) enterCore(c *gin.Context, claims auth.Claims, handler CoreHandler) error {
	user, err := models.FindSignedIn[models.CoreUser](c.Request.Context(), g.Core, claims.UserID, claims.SessionID)
	if err != nil {
		return err
	}
	if !user.IsSignedIn() {
		return models.ErrInvalidToken
	}
	return handler(c, &user)
}

func (g *Gate) enterTenant(c *gin.Context, claims auth.Claims, handler TenantHandler) error {
	SetTenant(c, models.Slug(claims.Tenant))
	tenant, release, err := g.Tenants.AcquireID(c.Request.Context(), claims.TenantID)
	if models.IsKind(err, models.KindTenantNotFound) {
		return models.ErrInvalidToken.Because(err)
	}
	if err != nil {
		return err
	}
	defer release()
	user, err := models.FindSignedIn[models.TenantUser](c.Request.Context(), tenant.DB, claims.UserID, claims.SessionID)
	if err != nil {
		return tenant.Classify(err)
	}
	if !user.IsSignedIn(tenant.Owner()) || string(tenant.Slug) != claims.Tenant {
		return models.ErrInvalidToken
	}
	return tenant.Classify(handler(c, tenant, &user))
}

// claims reads the bearer token (RFC 6750). It is looked for in the header
// Authorization and nowhere else.
func (g *Gate) claims(c *gin.Context) (auth.Claims, error) {
	values := c.Request.Header["Authorization"]
	if len(values) > 1 {
		return auth.Claims{}, models.ErrInvalidToken
	}
	var scheme, token string
	if len(values) == 1 {
		scheme, token, _ = strings.Cut(values[0], " ")
	}
	if token == "" || !strings.EqualFold(scheme, "bearer") {
		return auth.Claims{}, models.ErrNotAuthenticated
	}
	return g.Tokens.Parse(token)
}

// namedTenant reads X-TENANT, and reports whether there is one.
func namedTenant(c *gin.Context) (slug models.Slug, named bool, err error) {
	values := c.Request.Header["X-Tenant"]
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
