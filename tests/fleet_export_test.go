package tests_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/tenants"
	"multitenant/tests/testkit"
)

// readZip returns the contents of the files of a ZIP, by their names.
func readZip(t *testing.T, path string) map[string]string {
	t.Helper()
	opened, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer opened.Close()
	files := map[string]string{}
	for _, file := range opened.File {
		require.NotContains(t, files, file.Name)
		content, err := file.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(content)
		require.NoError(t, err)
		files[file.Name] = string(text)
	}
	return files
}

// writeZip makes a ZIP of such files.
func writeZip(t *testing.T, files map[string]string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "changed.zip")
	file, err := os.Create(path)
	require.NoError(t, err)
	made := zip.NewWriter(file)
	for name, content := range files {
		entry, err := made.Create(name)
		require.NoError(t, err)
		_, err = entry.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, made.Close())
	require.NoError(t, file.Close())
	return path
}

// ownTable is a table that a team adds, with a column of each kind and one that is secret.
func ownTable() *gormigrate.Migration {
	type tenantUser struct{ ID int32 }
	type ownNote struct {
		ID        int64 `gorm:"primaryKey"`
		UserID    int32
		User      tenantUser `gorm:"constraint:OnDelete:CASCADE"`
		Text      string     `gorm:"type:varchar;not null"`
		Big       int64
		Ratio     float64
		Content   []byte
		IsPinned  *bool
		At        time.Time
		Code      int32   `gorm:"not null;default:7"`
		TokenHash *string `gorm:"type:varchar"`
	}
	return &gormigrate.Migration{
		ID:      "209901010000_create_own_notes",
		Migrate: func(tx *gorm.DB) error { return tx.Migrator().CreateTable(&ownNote{}) },
	}
}

// writeOwn writes a row of ownTable.
func writeOwn(t *testing.T, settings *testkit.Settings, name string) {
	t.Helper()
	db := settings.SQL(t, name)
	_, err := db.ExecContext(t.Context(), `INSERT INTO own_notes (user_id, text, big, ratio, content, is_pinned, at, token_hash)
		VALUES (1, $1, 9223372036854775807, 0.1, $2, true, '2026-11-30 01:02:03.456789', 'a hash of their own')`, "tab\tand <\\N>", []byte{0, 255, '\n'})
	require.NoError(t, err)
}

// ownLine is the row in an export.
var ownLine = `{"id":1,"user_id":1,"text":"tab\tand <\\N>","big":9223372036854775807,"ratio":0.1,"content":"` +
	base64.StdEncoding.EncodeToString([]byte{0, 255, '\n'}) + `","is_pinned":true,"at":"2026-11-30T01:02:03.456789Z","code":7}` + "\n"

// An export has each row of a tenant, of a team's own tables too, and nothing that lets a
// user in.
func TestExport(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		settings = nextRelease(settings, ownTable())
		app := testkit.Start(t, settings)
		fleetOf(app, "acme")
		owner, member := app.TokenOf("acme", "ada@example.com"), app.Token("acme", "grace@example.com")
		invited := app.Post("/api/invitations", owner, testkit.JSON{"email": "hank@example.com", "role": "admin"})
		require.Equal(t, http.StatusCreated, invited.Code, invited.Raw)
		reset := settings.Command(t, "users", "reset-password", "--tenant", "acme", "grace@example.com", "--json").RequireCode(t, 0)
		acme := settings.DatabaseName("acme")
		settings.Exec(t, acme, oddRows()...)
		if settings.Engine == testkit.Postgres {
			settings.Exec(t, acme, "SELECT setval('tenant_users_id_seq', 2147483640)")
		}
		writeOwn(t, &settings, acme)
		settings.Command(t, "tenants", "suspend", "acme").RequireCode(t, 0)
		path := filepath.Join(t.TempDir(), "acme.zip")

		settings.Command(t, "tenants", "export", "acme", path).RequireCode(t, 0)

		files := readZip(t, path)
		require.Equal(t, ownLine, files["tables/own_notes.jsonl"])
		users := files["tables/tenant_users.jsonl"]
		require.Equal(t, 4, strings.Count(users, "\n"))
		require.Contains(t, users, `"email":"ödd@example.com","full_name":"🦆 \"quoted\"","is_active":true,"created_at":"9999-12-31T23:59:59.999999Z"`)
		require.Contains(t, users, `"phone":"a\t\\t\r\n\\."`)
		require.Contains(t, files["tables/tenant_invitations.jsonl"], `"email":"hank@example.com"`)
		require.Contains(t, files["tables/audit_events.jsonl"], `"action":"user.registered"`)
		require.Contains(t, files["schema.json"], `"references": [`)
		require.Contains(t, files["manifest.json"], `"slug": "acme"`)
		for _, table := range []string{"sessions", "password_resets", "tenant_stamp", "schema_migrations"} {
			require.NotContains(t, files, "tables/"+table+".jsonl")
		}
		resetToken := regexp.MustCompile(`"token": "([^"]+)"`).FindStringSubmatch(reset.Stdout)[1]
		secrets := append(make([]string, 0, 10), owner, member, invited.Text(app, "token"), resetToken, "a hash of their own")
		for _, query := range []string{
			"SELECT hashed_password FROM tenant_users WHERE email = 'grace@example.com'", "SELECT token_hash FROM tenant_invitations",
			"SELECT token_hash FROM password_resets", "SELECT token_hash FROM sessions LIMIT 1", "SELECT family_hash FROM sessions LIMIT 1",
		} {
			secrets = append(secrets, testkit.Scalar[string](t, &settings, acme, query))
		}
		for name, content := range files {
			for _, secret := range secrets {
				require.NotEmpty(t, secret)
				require.NotContains(t, content, secret, name)
			}
		}
		if about, err := os.Stat(path); runtime.GOOS != "windows" {
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), about.Mode())
		}
		again := settings.Command(t, "tenants", "export", "acme", path).RequireCode(t, 1)
		require.Contains(t, again.Stderr, "file already exists")
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), `SELECT count(*) FROM audit_events
			WHERE action = 'organization.exported' AND actor = 'operator' AND target_name = 'acme'`))
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, entries, 1, "nothing is left beside")
		settings.RequireTidy(t)

		importIsClosed(t, app, path, owner)
	})
}

// importIsClosed requires that an import has the content of the export, and that only a new
// password opens it.
func importIsClosed(t *testing.T, app *testkit.App, path, token string) {
	t.Helper()
	settings := app.Settings
	bob := app.Token("", "bob@example.com") // a core user whose number is not that of a user inside
	eve := app.Token("", "eve@example.com")
	acme, made := settings.DatabaseName("acme"), settings.DatabaseName("acme-2")
	// Another installation's core user 3 owned the tenant, and here 3 is Eve.
	files := readZip(t, path)
	eveID := testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT id FROM core_users WHERE email = 'eve@example.com'")
	changed := changeTable(t, files, "tenant_users", func(text string) string {
		return regexp.MustCompile(`"core_user_id":\d+`).ReplaceAllString(text, fmt.Sprintf(`"core_user_id":%d`, eveID))
	})
	settings.Command(t, "tenants", "import", changed, "--as", "acme-2").RequireCode(t, 2)

	outcome := settings.Command(t, "tenants", "import", changed, "--as", "acme-2", "--owner", "bob@example.com", "--yes", "--json").RequireCode(t, 0)

	require.Contains(t, outcome.Stdout, `"from": "acme"`)
	require.Contains(t, outcome.Stdout, `"owner": "bob@example.com"`)
	const users = `SELECT id, email, email_canonical, full_name, is_active, role, bio, phone, created_at, updated_at
		FROM tenant_users WHERE email NOT IN ('ada@example.com', 'bob@example.com') ORDER BY id`
	require.Equal(t, settings.Query(t, acme, users), settings.Query(t, made, users))
	for _, query := range []string{
		"SELECT * FROM audit_events ORDER BY id",
		"SELECT id, user_id, text, big, ratio, content, is_pinned, at, code FROM own_notes",
	} {
		require.Equal(t, settings.Query(t, acme, query), settings.Query(t, made, query))
	}
	for _, query := range []string{
		"SELECT count(*) FROM sessions", "SELECT count(*) FROM tenant_invitations", "SELECT count(*) FROM password_resets",
		"SELECT count(*) FROM tenant_users WHERE hashed_password <> ''", "SELECT count(*) FROM own_notes WHERE token_hash IS NOT NULL",
		"SELECT count(*) FROM tenant_users WHERE email = 'ada@example.com' AND is_active",
	} {
		require.Zero(t, testkit.Scalar[int](t, &settings, made, query), query)
	}
	refused := app.Do(testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Tenant: "acme-2", Token: token})
	require.Equal(t, http.StatusForbidden, refused.Code, refused.Raw)
	require.Equal(t, http.StatusNotFound, app.Post("/api/organizations/acme-2/token", eve, nil).Code)
	for _, user := range []string{"grace@example.com", "ada@example.com", "eve@example.com"} {
		app.Login("acme-2", user).RequireProblem(app, 401, "invalid_credentials", "Incorrect email or password")
	}
	require.Equal(t, http.StatusOK, app.Post("/api/organizations/acme-2/token", bob, nil).Code)
	app.TokenOf("acme-2", "bob@example.com")
	settings.Command(t, "users", "reset-password", "--tenant", "acme-2", "grace@example.com").RequireCode(t, 0)
	created := app.Register("acme-2", "new@example.com")
	require.Equal(t, http.StatusOK, created.Code, created.Raw)
	require.Greater(t, testkit.Scalar[int](t, &settings, made, "SELECT id FROM tenant_users WHERE email = 'new@example.com'"), 2147483640)
	require.Equal(t, 1, testkit.Scalar[int](t, &settings, settings.CoreName(), `SELECT count(*) FROM audit_events
		WHERE action = 'organization.imported' AND actor = 'operator' AND target_name = 'acme-2' AND detail = 'from acme'`))
	settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
	settings.RequireTidy(t)
}

// changeTable returns an export with another table, whose sum is right.
func changeTable(t *testing.T, files map[string]string, table string, change func(string) string) (path string) {
	t.Helper()
	files = maps.Clone(files)
	name := "tables/" + table + ".jsonl"
	before := files[name]
	files[name] = change(before)
	require.NotEqual(t, before, files[name])
	files["manifest.json"] = strings.Replace(files["manifest.json"], sumOf(before), sumOf(files[name]), 1)
	return writeZip(t, files)
}

// An export goes from one engine to the other and back, and is the same.
func TestExportsMoveBetweenEngines(t *testing.T) {
	t.Parallel()
	there, here := nextRelease(testkit.Fresh(t, testkit.Postgres), ownTable()), nextRelease(testkit.Fresh(t, testkit.SQLite), ownTable())
	server, file := testkit.Start(t, there), testkit.Start(t, here)
	fleetOf(server, "acme")
	token := server.Token("acme", "grace@example.com")
	file.Token("", "ada@example.com")
	there.Exec(t, there.DatabaseName("acme"), oddRows()...)
	there.Exec(t, there.DatabaseName("acme"), "SELECT setval('tenant_users_id_seq', 2147483640)", "SELECT setval('audit_events_id_seq', 99)")
	writeOwn(t, &there, there.DatabaseName("acme"))
	folder := t.TempDir()
	first, second, third := filepath.Join(folder, "1.zip"), filepath.Join(folder, "2.zip"), filepath.Join(folder, "3.zip")

	there.Command(t, "tenants", "export", "acme", first).RequireCode(t, 0)
	here.Command(t, "tenants", "import", first, "--as", "acme", "--owner", "ada@example.com", "--yes").RequireCode(t, 0)
	here.Command(t, "tenants", "export", "acme", second).RequireCode(t, 0)
	there.Command(t, "tenants", "import", second, "--as", "acme-2", "--owner", "ada@example.com", "--yes").RequireCode(t, 0)
	there.Command(t, "tenants", "export", "acme-2", third).RequireCode(t, 0)

	one, two, three := readZip(t, first), readZip(t, second), readZip(t, third)
	for _, table := range []string{"tenant_users", "own_notes", "audit_events"} {
		name := "tables/" + table + ".jsonl"
		require.NotEmpty(t, one[name])
		require.Equal(t, sortedLines(one[name]), sortedLines(two[name]), table)
		require.Equal(t, sortedLines(one[name]), sortedLines(three[name]), table)
	}
	file.Get("/api/users/me", token).RequireProblem(file, 401, "invalid_token", "Could not validate credentials")
	require.Equal(t, http.StatusOK, server.Get("/api/users/me", token).Code)
	server.TokenOf("acme-2", "ada@example.com")
	file.TokenOf("acme", "ada@example.com")
	for _, app := range []*testkit.App{file, server} {
		slug := map[bool]string{true: "acme", false: "acme-2"}[app == file]
		created := app.Register(slug, "new@example.com")
		require.Equal(t, http.StatusOK, created.Code, created.Raw)
		require.Greater(t, testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName(slug), "SELECT id FROM tenant_users WHERE email = 'new@example.com'"), 2147483640)
		require.Greater(t, testkit.Scalar[int](t, &app.Settings, app.Settings.DatabaseName(slug), "SELECT max(id) FROM audit_events"), 99)
		app.Settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		app.Settings.RequireTidy(t)
	}
}

func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}

// A file that was changed, or that has something unknown here, is refused, and nothing is
// left of it.
func TestImportsAreRefused(t *testing.T) {
	testkit.EachLent(t, func(t *testing.T, app *testkit.App) {
		settings := app.Settings
		fleetOf(app, "acme")
		app.Token("acme", "grace@example.com")
		path := filepath.Join(t.TempDir(), "acme.zip")
		settings.Command(t, "tenants", "export", "acme", path).RequireCode(t, 0)
		files := readZip(t, path)
		with := func(name, before, after string) string {
			changed := maps.Clone(files)
			require.Contains(t, changed[name], before)
			changed[name] = strings.Replace(changed[name], before, after, 1)
			if name == "schema.json" {
				changed["manifest.json"] = strings.Replace(changed["manifest.json"], sumOf(files[name]), sumOf(changed[name]), 1)
			}
			return writeZip(t, changed)
		}
		more := maps.Clone(files)
		more["tables/sessions.jsonl"] = "{}\n"
		users := func(before, after string) string {
			return changeTable(t, files, "tenant_users", func(text string) string { return strings.Replace(text, before, after, 1) })
		}
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		cut := filepath.Join(t.TempDir(), "cut.zip")
		require.NoError(t, os.WriteFile(cut, whole[:len(whole)-30], 0o600))

		for _, tc := range []struct{ name, path, want string }{
			{"no file", filepath.Join(t.TempDir(), "none.zip"), "no such file"},
			{"cut", cut, "is no ZIP"},
			{"a changed row", with("tables/tenant_users.jsonl", "grace@", "eve@"), "tables/tenant_users.jsonl is another"},
			{"another format", with("manifest.json", `"format": 1`, `"format": 2`), "format 2"},
			{"another file", writeZip(t, more), "tables/sessions.jsonl"},
			{"a newer schema", with("schema.json", `"applied": [`, `"applied": ["209901010000_later",`), "209901010000_later"},
			{"an unknown column", with("schema.json", `"name": "bio"`, `"name": "motto"`), "tenant_users.motto"},
			{"a password", with("schema.json", `"name": "bio"`, `"name": "hashed_password"`), "hashed_password cannot be imported"},
			{"no value", users(`"grace@example.com"`, `{}`), "wrong type"},
			{"a wrong id", users(`{"id":2`, `{"id":"two"`), "tenant_users"},
			{"a user twice", users(`"email":"grace@example.com"`, `"email":"ada@example.com"`), "tenant_users"},
		} {
			refused := settings.Command(t, "tenants", "import", tc.path, "--as", "acme-2", "--owner", "ada@example.com", "--yes").RequireCode(t, 1)
			require.Contains(t, refused.Stderr, tc.want, tc.name)
			require.NotContains(t, refused.Stderr, "grace@", tc.name)
			require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM tenants WHERE slug = 'acme-2'"), tc.name)
		}
		settings.RequireTidy(t)
		for _, tc := range []struct{ as, owner, want string }{
			{"acme", "ada@example.com", "already exists"}, {"admin", "ada@example.com", "reserved"}, {"acme-3", "nobody@example.com", "owner"},
		} {
			refused := settings.Command(t, "tenants", "import", path, "--as", tc.as, "--owner", tc.owner, "--yes").RequireCode(t, 1)
			require.Contains(t, refused.Stderr, tc.want)
		}
		refused := settings.Command(t, "tenants", "export", "nobody", path+"2").RequireCode(t, 1)
		require.Contains(t, refused.Stderr, "Tenant not found")
		require.NoFileExists(t, path+"2")
		settings.RequireTidy(t)
	})
}

// An export of an earlier release is brought to the schema of this one. A killed import
// leaves nothing.
func TestImportOfAnEarlierRelease(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		earlier := testkit.Start(t, settings)
		fleetOf(earlier, "acme")
		path := filepath.Join(t.TempDir(), "acme.zip")
		settings.Command(t, "tenants", "export", "acme", path).RequireCode(t, 0)
		earlier.Close()
		testkit.KillCommand(t, settings, tenants.StepBuilt, "tenants", "import", path, "--as", "acme-2", "--yes")

		settings = nextRelease(settings, ownTable())
		testkit.Start(t, settings)
		settings.RequireTidy(t)
		settings.Command(t, "tenants", "import", path, "--as", "acme-2", "--yes").RequireCode(t, 0)

		made := settings.DatabaseName("acme-2")
		require.Zero(t, testkit.Scalar[int](t, &settings, made, "SELECT count(*) FROM own_notes"))
		require.Equal(t, 1, testkit.Scalar[int](t, &settings, made, "SELECT count(*) FROM tenant_users WHERE NOT is_active AND core_user_id IS NULL"))
		require.Zero(t, testkit.Scalar[int](t, &settings, settings.CoreName(), "SELECT count(*) FROM organizations WHERE slug = 'acme-2'"))
		settings.RequireTidy(t)
	})
}

func sumOf(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
