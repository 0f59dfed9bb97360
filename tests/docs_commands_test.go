package tests_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/database"
	"multitenant/database/migrations"
	"multitenant/tests/testkit"
)

// manual is docs/commands.md, whose commands are run in the order of the page.
type manual struct {
	settings testkit.Settings
	folder   string // stands in for /tmp
	app      *testkit.App
}

// The page has a section for each command, with its usage and what it prints. With
// UPDATE_COMMANDS=true the test corrects the page instead of failing.
func TestDocsCommands(t *testing.T) {
	t.Parallel()
	m := &manual{settings: testkit.Fresh(t, testkit.SQLite), folder: t.TempDir()}
	m.settings.Spares, m.settings.Database.TenantPrefix = 0, "multitenant_" // as they are by default
	page := readFile(t, "docs/commands.md")
	starts := regexp.MustCompile("(?m)^### `(.+)`$").FindAllStringSubmatchIndex(page, -1)
	m.requireAll(t, captures("(?m)^### `(.+)`$", page))
	m.begin(t)

	isUpdate := os.Getenv("UPDATE_COMMANDS") == "true"
	var corrected strings.Builder
	corrected.WriteString(page[:starts[0][0]])
	for i, start := range starts {
		end := len(page)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		text := page[start[0]:end]
		right := m.follow(t, page[start[2]:start[3]], text)
		if !isUpdate {
			require.Equal(t, right, text, "UPDATE_COMMANDS=true corrects it")
		}
		corrected.WriteString(right)
	}
	if isUpdate {
		require.NoError(t, os.WriteFile(filepath.Join(root, "docs", "commands.md"), []byte(corrected.String()), 0o600))
	}
}

// requireAll requires that the sections are those of the program's own help.
func (m *manual) requireAll(t *testing.T, sections []string) {
	t.Helper()
	help := m.settings.Command(t, "--help").RequireCode(t, 0).Stdout
	_, list, found := strings.Cut(help, "\nCommands:\n")
	require.True(t, found, help)
	require.ElementsMatch(t, captures(`(?m)^  ([a-z]+(?: [a-z-]+)?)  +\S`, list), sections)
}

// begin makes the installation that the page describes.
func (m *manual) begin(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(keepBackups(t, &m.settings, nil), 0o700))
	m.settings.Variables["BACKUP_KEEP"] = "7d,5w,12m"
	m.app = testkit.Start(t, m.settings)
	owner := m.app.Token("", "ada@example.com")
	for slug, name := range map[string]string{"acme": "Acme", "globex": "Globex"} {
		m.app.Post("/api/organizations/", owner, map[string]string{"name": name, "slug": slug})
	}
	m.app.Register("acme", "grace@example.com")
	m.settings.Variables["LOG_LEVEL"] = "error"
}

// prepare makes the things that the commands of a section are about.
func (m *manual) prepare(t *testing.T, section string) {
	t.Helper()
	switch section {
	case "healthcheck":
		server := httptest.NewServer(http.NotFoundHandler())
		server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		t.Cleanup(server.Close)
		m.settings.Variables["HTTP_ADDR"] = server.Listener.Addr().String()
	case "operations list":
		queue(t, m.app, "acme")
		m.settings.Exec(t, m.settings.CoreName(), "UPDATE operations SET id = '019acd5e-7c40-7b9e-8d5c-0a4f3b2e1d6c' WHERE kind = 'backup'")
	case "backup restore-fleet":
		m.settings.Command(t, "backup", "run").RequireCode(t, 0)
		m.settings = loseAll(t, &m.settings)
	}
}

// follow returns a section as it would be right.
func (m *manual) follow(t *testing.T, command, text string) string {
	t.Helper()
	m.prepare(t, command)
	usage := regexp.MustCompile("(?s)```text\n(.*?)```")
	require.Regexp(t, usage, text, command)
	first := true
	text = usage.ReplaceAllStringFunc(text, func(block string) string {
		if !first {
			return block
		}
		first = false
		return "```text\n" + m.usage(t, command) + "```"
	})
	samples := regexp.MustCompile("(?s)```console\n(.*?)```")
	require.Regexp(t, samples, text, "%s has no sample", command)
	return samples.ReplaceAllStringFunc(text, func(block string) string {
		return m.sample(t, block)
	})
}

// usage is the help of a command without the lines that are the same for all.
func (m *manual) usage(t *testing.T, command string) string {
	t.Helper()
	help := m.settings.Command(t, append(strings.Fields(command), "--help")...).RequireCode(t, 0).Stdout
	help = regexp.MustCompile(`(?m)^  -h, --help .*\n\n?`).ReplaceAllString(help, "")
	return strings.TrimSuffix(help, "\nFlags:\n")
}

// sample runs the commands of a block, and returns it with what they print. What is shown
// stays where it differs only by chance.
func (m *manual) sample(t *testing.T, block string) string {
	t.Helper()
	var run strings.Builder
	for _, line := range captures(`(?m)^\$ (multitenant .+)$`, block) {
		run.WriteString("$ " + line + "\n" + m.run(t, line))
	}
	require.NotEmpty(t, run.String(), block)
	printed := regexp.MustCompile(` +\n`).ReplaceAllString("```console\n"+run.String()+"```", "\n")
	if shapeOf(printed) == shapeOf(block) {
		return block
	}
	return printed
}

// run returns the output of a command, with the names of the page.
func (m *manual) run(t *testing.T, line string) string {
	t.Helper()
	if line == "multitenant serve" {
		return m.serve(t)
	}
	line = strings.ReplaceAll(line, "/tmp/", m.folder+"/")
	line = regexp.MustCompile(`\d{12}_\w+`).ReplaceAllString(line, database.LatestID(migrations.Tenant()))
	var arguments []string
	for _, found := range regexp.MustCompile(`'([^']*)'|\S+`).FindAllStringSubmatch(line, -1)[1:] {
		arguments = append(arguments, cmp.Or(found[1], found[0]))
	}
	outcome := m.settings.Command(t, arguments...)
	printed := strings.ReplaceAll(outcome.Stdout+outcome.Messages(), m.folder+"/", "/tmp/")
	return strings.ReplaceAll(printed, m.settings.Folder(), "/srv/data")
}

// serve serves until that is to be seen.
func (m *manual) serve(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	environ := m.settings.Environ()
	environ["LOG_LEVEL"], environ["GOGC"] = "info", "100" // serve would set the whole test's
	var log testkit.Log
	ended := make(chan int, 1)
	go func() { ended <- commands.Run(ctx, &commands.Invocation{Environ: environ, Stdout: &log, Stderr: &log}) }()
	var address string
	testkit.Await(t, 20*time.Second, func() error {
		found := serving().FindStringSubmatch(log.String())
		if found == nil {
			return errors.New(log.String())
		}
		address = found[1]
		return nil
	})
	stop()
	require.Equal(t, commands.ExitOK, <-ended, log.String())
	told := regexp.MustCompile(`version=\S+ (.*) data=\S+`).ReplaceAllString(log.String(), "version=v1.0.0 $1 data=/srv/data/core.db")
	return strings.ReplaceAll(told, address, "http://127.0.0.1:8000")
}

// shapeOf replaces what differs from run to run, or with each migration. The width of columns
// depends on it, and the order of lists on the ids of tenants.
func shapeOf(text string) string {
	for _, chance := range [][2]string{
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`, "TIME"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "ID"},
		{`(?m)^(core|tenant) +\d{12}_\w+ .* (yes|no)$`, "$1 MIGRATION $2"},
		{`\d{12}_\w+`, "MIGRATION"},
		{`all users but the owner: .*`, "all users but the owner: COLUMNS"},
		{`mtpw_[\w-]+`, "TOKEN"},
		{`\d{8}T\d{6}Z-[0-9a-z]{8}`, "BACKUP"},
		{`\d+\.\d MB`, "SIZE"},
		{`(no|yes) +\d+ +BACKUP`, "$1 BYTES BACKUP"},
		{`of tenant [a-z-]+`, "of tenant ANOTHER"},
		{`(?m)^(version|commit|committed|go|platform) .*`, "$1 BUILD"},
		{`multitenant [(v]\S+`, "multitenant BUILD"},
		{` +`, " "},
		{` +\n`, "\n"},
	} {
		text = regexp.MustCompile(chance[0]).ReplaceAllString(text, chance[1])
	}
	return strings.Join(slices.Compact(slices.Sorted(strings.SplitSeq(text, "\n"))), "\n")
}
