package tests_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// inheritance is an installation of the Python original with everything in it
// that its users have run into. Its tenants' databases are made by makeTenants.
type inheritance struct {
	*testkit.Original

	first, second string // slugs that are equal in all that fits into a name
	long          string
	ada           string // the hash that the tenants of hers have copies of
}

// passwordOf is a password that differs for everybody who has one.
func passwordOf(who string) string { return who + "'s old password" }

func hashOf(t *testing.T, who string) string {
	t.Helper()
	return testkit.Hash(t, passwordOf(who))
}

func inherit(t *testing.T, engine testkit.Engine) *inheritance {
	t.Helper()
	o := testkit.NewOriginal(t, engine)
	shared := strings.Repeat("x", 63-len(o.Database.TenantPrefix))
	h := &inheritance{Original: o, first: shared + "-one", second: shared + "-two", long: strings.Repeat("long-", 9) + "slug"}
	h.ada = hashOf(t, "ada")

	o.CoreUser(1, "ada@example.com", h.ada, "TRUE")
	o.CoreUser(3, "Grace@Example.com", hashOf(t, "Grace"), "TRUE")
	o.CoreUser(4, "grace@Example.com", hashOf(t, "grace"), "TRUE")
	o.CoreUser(7, "Linus@example.com", hashOf(t, "linus"), "NULL")
	o.CoreUser(9, "mallory@example.com", hashOf(t, "mallory"), "FALSE")
	o.CoreUser(11, "eleven@example.com", testkit.CheapHash, "TRUE")
	o.CoreUser(12, "twelve@example.com", testkit.RealHash, "TRUE")
	o.MoveIDs(o.CoreName(), "core_users", 20)

	o.Organization(1, "acme", 1, "TRUE")
	o.Organization(2, "globex", 3, "TRUE")
	o.Organization(4, "lost", 1, "TRUE")
	o.Organization(5, "dormant", 1, "FALSE")
	o.Organization(6, "nullish", 7, "NULL")
	o.Organization(8, "core", 1, "TRUE")
	o.Organization(9, h.first, 1, "TRUE")
	o.Organization(10, h.second, 1, "TRUE")
	o.Organization(11, h.long, 1, "TRUE")
	o.Organization(15, "admin", 1, "TRUE")
	o.MoveIDs(o.CoreName(), "organizations", 30)
	return h
}

// tenants are the organizations that have a database.
func (h *inheritance) tenants() []string {
	return []string{"acme", "globex", "dormant", "nullish", h.first, h.long, "admin"}
}

// makeTenants makes the databases of these organizations, with their users.
func (h *inheritance) makeTenants(t *testing.T, slugs ...string) {
	t.Helper()
	for _, slug := range slugs {
		h.Tenant(slug)
		h.TenantUser(slug, 41, "member@example.com", hashOf(t, slug), "TRUE")
		switch slug {
		case "acme":
			h.TenantUser(slug, 1, "ada@example.com", h.ada, "TRUE")
			h.TenantUser(slug, 5, "Bob@Example.com", hashOf(t, "Bob"), "TRUE")
			h.TenantUser(slug, 6, "bob@example.com", hashOf(t, "bob"), "NULL")
			h.TenantUser(slug, 9, "mallory@example.com", hashOf(t, "mallory"), "FALSE")
			h.MoveIDs(h.OriginalName(slug), "tenant_users", 50)
		case "globex":
			h.TenantUser(slug, 2, "Grace@Example.com", hashOf(t, "another Grace"), "TRUE")
		case "admin":
			h.TenantUser(slug, 2, "ada@example.com", h.ada, "TRUE")
		}
	}
}

// each puts together what is said of each database there is.
func (h *inheritance) each(say func(name string) string) string {
	var all strings.Builder
	for _, slug := range h.tenants() {
		all.WriteString(say(h.OriginalName(slug)))
	}
	return all.String()
}

func eachInheritance(t *testing.T, test func(t *testing.T, h *inheritance)) {
	t.Helper()
	t.Parallel()
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, inherit(t, engine))
		})
	}
}

// openAll has everybody log in whose tenant works, so that it is taken over.
func (h *inheritance) openAll(t *testing.T, app *testkit.App) {
	t.Helper()
	for _, person := range []struct {
		tenant, email, password string
		id                      float64
	}{
		{"", "ada@example.com", passwordOf("ada"), 1},
		{"", "ADA@EXAMPLE.COM", passwordOf("ada"), 1},
		{"", "Grace@Example.com", passwordOf("Grace"), 3},
		{"", "grace@Example.com", passwordOf("grace"), 4},
		{"", "linus@example.com", passwordOf("linus"), 7},
		{"", "eleven@example.com", testkit.Password, 11},
		{"acme", "ada@example.com", passwordOf("ada"), 1},
		{"acme", "Bob@Example.com", passwordOf("Bob"), 5},
		{"acme", "bob@example.com", passwordOf("bob"), 6},
		{"acme", "member@example.com", passwordOf("acme"), 41},
		{"globex", "Grace@Example.com", passwordOf("another Grace"), 2},
		{"nullish", "member@example.com", passwordOf("nullish"), 41},
		{h.first, "member@example.com", passwordOf(h.first), 41},
		{h.long, "Member@example.com", passwordOf(h.long), 41},
		{"admin", "ada@example.com", passwordOf("ada"), 2},
	} {
		login := app.LoginWith(person.tenant, person.email, person.password)
		require.Equal(t, http.StatusOK, login.Code, "%s in %q: %s", person.email, person.tenant, login.Raw)
		me := app.Get("/api/users/me", login.Text(app, "access_token"))
		require.Equal(t, http.StatusOK, me.Code, me.Raw)
		require.InDelta(t, person.id, me.Object(app)["id"], 0, "%s in %q: %s", person.email, person.tenant, me.Raw)
	}
}
