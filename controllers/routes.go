// Package controllers answers requests: it binds what was sent, asks a model or
// the tenant manager, and renders the reply.
package controllers

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"multitenant/auth"
	"multitenant/auth/limits"
	"multitenant/backups"
	"multitenant/backups/export"
	"multitenant/console"
	"multitenant/docs"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tenants"
)

// Options says what the routes work with.
type Options struct {
	Tenants   *tenants.Manager
	Tokens    *auth.Tokens
	Passwords *auth.Passwords
	Status    *Status
	Logger    *slog.Logger
	Meter     middleware.Meter // nil measures nothing
	Limits    *limits.Limits   // nil limits nothing
	Backups   *backups.Backups // nil keeps none
	Exports   *export.Exports  // nil keeps none

	PasswordRules models.PasswordRules
	// CoreRegistration is models.RegistrationOpen or models.RegistrationClosed.
	CoreRegistration models.Registration

	AllowedOrigins []string // of browsers that may call from other sites; none by default
	TrustedProxies []string // whose X-Forwarded-For is believed; none by default
}

// NewRouter returns the whole API.
func NewRouter(o *Options) (*gin.Engine, error) {
	router, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	router.GET("/", middleware.Handle(o.Status.Root))
	router.GET("/health", middleware.Handle(o.Status.Health))
	router.GET("/ready", middleware.Handle(o.Status.Ready))
	addDocs(router)
	if err := addConsole(router); err != nil {
		return nil, err
	}
	gate := &middleware.Gate{Core: o.Tenants.Core(), Tenants: o.Tenants, Tokens: o.Tokens, Limits: o.Limits}
	api := router.Group("/api")
	addSignIn(api, gate, o)
	addOwn(api, gate, o)
	addUsers(api, gate, o)
	addTenant(api, gate, o)
	addOrganizations(api, gate, o)
	addHeads(router)
	return router, nil
}

// addSignIn adds the public routes that begin a session.
func addSignIn(api *gin.RouterGroup, gate *middleware.Gate, o *Options) {
	accounts := &Accounts{
		Tenants: o.Tenants, Tokens: o.Tokens, Passwords: o.Passwords, Rules: o.PasswordRules, Limits: o.Limits,
		CoreRegistration: o.CoreRegistration,
	}
	refresh := &Refresh{Tenants: o.Tenants, Tokens: o.Tokens, Limits: o.Limits}
	resets := newResets(o)

	api.POST("/auth/register", gate.Public(accounts.RegisterCore, accounts.RegisterTenant))
	api.POST("/auth/login", gate.Public(accounts.LoginCore, accounts.LoginTenant))
	api.POST("/auth/refresh", gate.ByToken(refresh.Create))
	api.POST("/auth/password-reset", gate.ByToken(resets.Redeem))
}

func newResets(o *Options) *PasswordResets {
	return &PasswordResets{
		Tenants: o.Tenants, Tokens: o.Tokens, Passwords: o.Passwords, Rules: o.PasswordRules, Limits: o.Limits,
	}
}

// addOwn adds the routes about the caller, at the core or in a tenant.
func addOwn(api *gin.RouterGroup, gate *middleware.Gate, o *Options) {
	sessions := &Sessions{Tenants: o.Tenants, Tokens: o.Tokens}
	profile := &Profile{Tenants: o.Tenants}
	data := &OwnData{Tenants: o.Tenants, Tokens: o.Tokens, Limits: o.Limits}
	password := &Password{
		Tenants: o.Tenants, Tokens: o.Tokens, Passwords: o.Passwords, Rules: o.PasswordRules, Limits: o.Limits,
	}

	api.POST("/auth/logout", gate.SignedInAnywhere(sessions.Logout))
	api.GET("/auth/sessions", gate.SignedInAnywhere(sessions.List))
	api.DELETE("/auth/sessions/:id", gate.SignedInAnywhere(sessions.End))
	api.GET("/users/me", gate.SignedIn(profile.ShowCore, profile.ShowTenant))
	api.PUT("/users/me", gate.SignedIn(profile.UpdateCore, profile.UpdateTenant))
	api.GET("/users/me/export", gate.SignedIn(data.ShowCore, data.ShowTenant))
	api.PUT("/users/me/password", gate.SignedInAfter(password.ChangeCore, password.ChangeTenant))
}

// addUsers adds the routes of owners and admins of a tenant.
func addUsers(api *gin.RouterGroup, gate *middleware.Gate, o *Options) {
	users := &Users{Passwords: o.Passwords, Rules: o.PasswordRules, Limits: o.Limits}
	resets := newResets(o)
	invitations := &Invitations{Tokens: o.Tokens}
	audit := &Audit{}

	collection(api, "/users", gate.ManagingAfter(users.Create), gate.Managing(users.List))
	api.GET("/users/:id", gate.Managing(users.Show))
	api.PUT("/users/:id", gate.Managing(users.Update))
	api.DELETE("/users/:id", refuseMe, gate.Managing(users.Remove))
	api.POST("/users/:id/password-reset", gate.Managing(resets.Create))
	collection(api, "/invitations", gate.Managing(invitations.Create), gate.Managing(invitations.List))
	api.DELETE("/invitations/:id", gate.Managing(invitations.Withdraw))
	collection(api, "/audit", nil, gate.ManagingAnywhere(audit.List))
}

// addTenant adds the routes of owners of a tenant for the tenant itself.
func addTenant(api *gin.RouterGroup, gate *middleware.Gate, o *Options) {
	tenant := &Tenant{Tenants: o.Tenants}

	api.GET("/tenant", gate.Owning(tenant.Show))
	api.PUT("/tenant", gate.Owning(tenant.Update))
	api.DELETE("/tenant", gate.OwningBefore(tenant.Mark, tenant.Delete))
}

// addOrganizations adds the routes of core users for their organizations.
func addOrganizations(api *gin.RouterGroup, gate *middleware.Gate, o *Options) {
	orgs := &Organizations{Tenants: o.Tenants, Limits: o.Limits}
	entry := &OrganizationTokens{Tenants: o.Tenants, Tokens: o.Tokens}
	kept := &Backups{Tenants: o.Tenants, Backups: o.Backups, Limits: o.Limits}
	exports := &Exports{Tenants: o.Tenants, Exports: o.Exports, Limits: o.Limits}
	operations := &Operations{Core: o.Tenants.Core()}

	api.POST("/organizations/:slug/restore", gate.SignedInAtCore(kept.Restore))
	collection(api, "/organizations", gate.SignedInAtCore(orgs.Create), gate.SignedInAtCore(orgs.List))
	api.GET("/organizations/:slug", gate.SignedInAtCore(orgs.Show))
	api.PUT("/organizations/:slug", gate.SignedInAtCore(orgs.Update))
	api.DELETE("/organizations/:slug", gate.SignedInAtCore(orgs.Delete))
	api.POST("/organizations/:slug/token", gate.SignedInAtCore(entry.Create))
	api.GET("/organizations/:slug/backups", gate.SignedInAtCore(kept.List))
	api.POST("/organizations/:slug/backups", gate.SignedInAtCore(kept.Create))
	api.POST("/organizations/:slug/export", gate.SignedInAtCore(exports.Create))
	api.GET("/exports/:id", middleware.Handle(exports.Download))
	api.GET("/operations/:id", gate.SignedInAtCore(operations.Show))
}

// collection adds the routes of a collection: POST creates, unless create is nil, and
// GET lists. As in the Python original the path answers with and without a slash at
// its end.
func collection(api *gin.RouterGroup, path string, create, list gin.HandlerFunc) {
	for _, spelling := range []string{path, path + "/"} {
		if create != nil {
			api.POST(spelling, create)
		}
		api.GET(spelling, list)
	}
}

// refuseMe keeps /users/me, which has routes of its own, from having those of
// /users/:id too.
func refuseMe(c *gin.Context) {
	if c.Request.URL.Path != "/api/users/me" {
		return
	}
	c.Header("Allow", "GET, HEAD, PUT")
	middleware.Abort(c, middleware.MethodNotAllowed(c))
}

// addDocs adds the interactive page and the document that it shows.
func addDocs(router *gin.Engine) {
	read := sync.OnceValues(docs.OpenAPI) // which converts it: no start waits for that
	router.GET("/openapi.json", middleware.Handle(func(c *gin.Context) error {
		document, err := read()
		if err != nil {
			return err
		}
		c.Data(http.StatusOK, "application/json", document)
		return nil
	}))
	page := docs.NewPage()
	for _, path := range page.Paths() {
		router.GET(path, gin.WrapH(page))
	}
}

// addConsole adds the console. Its files have one route, because their paths change with
// each of their versions.
func addConsole(router *gin.Engine) error {
	page, err := console.NewPage()
	if err != nil {
		return err
	}
	show := middleware.Handle(func(c *gin.Context) error {
		if !page.Has(c.Request.URL.Path) {
			return middleware.NotFound(c)
		}
		page.ServeHTTP(c.Writer, c.Request)
		return nil
	})
	router.GET("/console", show)
	router.GET("/console/*file", show)
	return nil
}

// addHeads answers HEAD as GET on every path (RFC 9110, section 9.3.2). The server
// itself leaves the body out.
func addHeads(router *gin.Engine) {
	for _, route := range router.Routes() {
		if route.Method == http.MethodGet {
			router.HEAD(route.Path, route.HandlerFunc)
		}
	}
}

// newEngine returns a router with what every request passes through.
func newEngine(o *Options) (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	router.RemoteIPHeaders = []string{middleware.ForwardedFor}
	if err := router.SetTrustedProxies(o.TrustedProxies); err != nil {
		return nil, fmt.Errorf("trusted proxies: %w", err)
	}
	if len(o.TrustedProxies) > 0 {
		router.Use(middleware.Forwarded())
	}
	if o.Meter != nil {
		router.Use(middleware.Measure(o.Meter))
	}
	router.Use(
		middleware.Log(o.Logger),
		middleware.Headers(),
		middleware.Errors(),
		middleware.Recover(),
		middleware.Limit(),
	)
	if len(o.TrustedProxies) == 0 {
		router.Use(middleware.WarnOfProxy(o.Logger))
	}
	if len(o.AllowedOrigins) > 0 {
		router.Use(middleware.CORS(o.AllowedOrigins))
	}
	router.NoRoute(middleware.Handle(middleware.NotFound))
	router.NoMethod(refuseMe, middleware.Handle(middleware.MethodNotAllowed))
	return router, nil
}
