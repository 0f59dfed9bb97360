package tests_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"multitenant/config"
	"multitenant/docs"
	"multitenant/middleware"
	"multitenant/models"
	"multitenant/tests/testkit"
)

// root is the folder of the module, seen from here.
const root = ".."

// maxReadmeLines bounds the README: it is read in a few minutes. All else is in docs.
const maxReadmeLines = 180

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, strings.Count(readFile(t, "README.md"), "\n"), maxReadmeLines)
}

// The tour begins in the README and goes on in docs/api.md. It is run as it stands,
// and must print what is shown, except for what differs from run to run.
func TestReadmeTour(t *testing.T) {
	requirePrograms(t, "bash", "curl", "sed")
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		pattern := regexp.MustCompile("(?s)```bash\n(.*?)```\n(?:```text\n(.*?)```\n)?")
		blocks := pattern.FindAllStringSubmatch(section(t, "README.md", "A tour of one screen"), -1)
		require.NotEmpty(t, blocks)
		rest := pattern.FindAllStringSubmatch(section(t, "docs/api.md", "The tour goes on"), -1)
		require.NotEmpty(t, rest)
		blocks = append(blocks, rest...)

		for range 2 { // it can be repeated on the same server
			printed := runTour(t, app.URL, blocks)
			for i, block := range blocks {
				require.Equal(t, withoutChance(block[2]), withoutChance(printed[i]), block[1])
			}
		}
	})
}

// runTour runs the blocks in one shell and returns what each has printed.
func runTour(t *testing.T, base string, blocks [][]string) []string {
	t.Helper()
	const mark = "=== the next block ==="
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, block := range blocks {
		script.WriteString(block[1] + "echo '" + mark + "'\n")
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	shell.Env = append(os.Environ(), "BASE="+base, "NO_PROXY=*")
	var problems strings.Builder
	shell.Stderr = &problems
	output, err := shell.Output()
	require.NoError(t, err, "%s\n%s", output, problems.String())
	require.Empty(t, problems.String())
	printed := strings.Split(string(output), mark+"\n")
	require.Len(t, printed, len(blocks)+1)
	return printed
}

// withoutChance replaces what differs from run to run.
func withoutChance(text string) string {
	for pattern, name := range map[string]string{
		`(ada|grace|acme|globex)-\d{10,}`:          "$1-RUN",
		`"(id|owner_id)":\d+`:                      `"$1":1`,
		`"created_at":"[-0-9]{10}T[0-9:.]{8,15}Z"`: `"created_at":"NOW"`,
		`"request_id":"[-0-9a-f]{36}"`:             `"request_id":"UUID"`,
		`"access_token":"eyJ[^"]+"`:                `"access_token":"TOKEN"`,
		`"refresh_token":"mtr_[^"]+"`:              `"refresh_token":"TOKEN"`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, name)
	}
	return strings.TrimSpace(text)
}

func TestDocsSettings(t *testing.T) {
	t.Parallel()
	defaults := map[string]string{}
	line := regexp.MustCompile(`(?m)^# ([A-Z_]+)=(.*)$`)
	for _, setting := range line.FindAllStringSubmatch(readFile(t, ".env"), -1) {
		defaults[setting[1]] = "`" + setting[2] + "`"
		if setting[2] == "" {
			defaults[setting[1]] = "none"
		}
	}

	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.+?) \\|")
	rows := row.FindAllStringSubmatch(section(t, "docs/settings.md", "All settings"), -1)
	names := make([]string, 0, len(rows))
	for _, setting := range rows {
		names = append(names, setting[1])
		require.Equal(t, defaults[setting[1]], setting[2], setting[1])
	}
	require.Equal(t, config.Names(), names)
}

// The codes are those of docs/api.md, the OpenAPI document and the models, and each
// has the status that docs/api.md says.
func TestDocsErrorCodes(t *testing.T) {
	t.Parallel()
	router := gin.New()
	router.Use(middleware.Log(slog.New(slog.DiscardHandler)), middleware.Errors())
	router.GET("/:code", middleware.Handle(func(c *gin.Context) error {
		return models.Errorf(models.Kind(c.Param("code")), "A failure")
	}))

	var codes []string
	row := regexp.MustCompile(`(?m)^\| (\d{3}) \| (.+) \|$`)
	for _, line := range row.FindAllStringSubmatch(section(t, "docs/api.md", "Errors"), -1) {
		for _, code := range captures("`([a-z_]+)`", line[2]) {
			codes = append(codes, code)
			answer := httptest.NewRecorder()
			router.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+code, http.NoBody))
			require.Equal(t, line[1], strconv.Itoa(answer.Code), code)
		}
	}
	require.ElementsMatch(t, captures(`Kind = "([a-z_]+)"`, readFile(t, "models/error.go")), codes)
	require.ElementsMatch(t, openAPI(t).Components.Schemas.Problem.Properties.Code.Enum, codes)
}

// The actions are those of docs/users.md, the OpenAPI document and the models.
func TestDocsActions(t *testing.T) {
	t.Parallel()
	actions := make([]string, len(models.Actions()))
	for i, action := range models.Actions() {
		actions[i] = string(action)
	}
	require.Equal(t, captures(`Action = "([a-z_.]+)"`, readFile(t, "models/action.go")), actions)
	require.Equal(t, openAPI(t).Components.Schemas.Action.Enum, actions)
	require.Equal(t, captures("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|", section(t, "docs/users.md", "Audit")), actions)
}

// The statements in docs/users.md remove old events, and afterwards events cannot be
// removed again.
func TestDocsRemovesOldEvents(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.Postgres)
	app := testkit.Start(t, settings)
	app.Token("acme", "ada@example.com")
	database := settings.DatabaseName("acme")
	settings.Exec(t, database, "INSERT INTO audit_events SELECT id - 100, '2025-12-31', action, outcome, actor_id, actor, reader_id, "+
		"target_kind, target_id, target_name, ip, user_agent, request_id, detail FROM audit_events")
	statements := captures("(?s)```sql\n(.*?)```", section(t, "docs/users.md", "Audit"))
	require.Len(t, statements, 1)

	settings.Exec(t, database, statements[0])

	require.Equal(t, 2, testkit.Scalar[int](t, &settings, database, "SELECT count(*) FROM audit_events"))
	_, err := settings.SQL(t, database).ExecContext(t.Context(), "DELETE FROM audit_events")
	require.ErrorContains(t, err, "audit events are never")
}

func TestDocsOperations(t *testing.T) {
	t.Parallel()
	var documented []string
	for path, methods := range openAPI(t).Paths {
		for method := range methods {
			if method != "parameters" {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}

	var rows strings.Builder
	for _, line := range captures(`(?m)^(\| .+)$`, section(t, "docs/api.md", "Endpoints")) {
		rows.WriteString(line)
	}
	require.ElementsMatch(t, documented, captures("`((?:GET|POST|PUT|DELETE) /[^` ]*)`", rows.String()))
}

// openAPIDocument is the part of the OpenAPI document that docs/ repeats.
type openAPIDocument struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Schemas struct {
			Action  struct{ Enum []string }
			Problem struct {
				Properties struct{ Code struct{ Enum []string } }
			}
		}
	}
}

func openAPI(t *testing.T) (document openAPIDocument) {
	t.Helper()
	raw, err := docs.OpenAPI()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &document))
	return document
}

func TestDocsImports(t *testing.T) {
	t.Parallel()
	claim := regexp.MustCompile("`([a-z/]+)` → ((?:`[a-z/]+`(?:, )?)+)")
	claims := claim.FindAllStringSubmatch(strings.ReplaceAll(section(t, "CONTRIBUTING.md", "Imports"), "\n", " "), -1)
	require.NotEmpty(t, claims)
	for _, found := range claims {
		require.Equal(t, captures("`([a-z/]+)`", found[2]), importsOf(t, found[1]), found[1])
	}
	for _, folder := range []string{"console", "database", "database/migrations", "models", "docs", "version"} {
		require.Empty(t, importsOf(t, folder), folder)
	}
}

// importsOf returns the packages of ours that a package's own code imports.
func importsOf(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var imports []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			if ours, found := strings.CutPrefix(spec.Path.Value, `"multitenant/`); found {
				imports = append(imports, strings.TrimSuffix(ours, `"`))
			}
		}
	}
	slices.Sort(imports)
	return slices.Compact(imports)
}

// Every file and folder that a document names exists, except those that the program or
// its user makes, and those that the worked example adds.
func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	made := regexp.MustCompile(`^(data(/.*)?|\.env\.local|(manifest|schema)\.json)$`)
	file := regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/?$`)
	ending := regexp.MustCompile(`\.(go|md|ya?ml|json|mod|sum)$`)
	examples := example(t).files
	for _, document := range documents(t) {
		for _, name := range captures("`([^`\n]+)`", readFile(t, document)) {
			first, _, nested := strings.Cut(name, "/")
			_, err := os.Stat(filepath.Join(root, first))
			named := ending.MatchString(name) || nested && err == nil || strings.HasPrefix(name, ".env")
			if _, added := examples[name]; !named || added || !file.MatchString(name) || made.MatchString(name) {
				continue
			}
			_, err = os.Stat(filepath.Join(root, name))
			require.NoError(t, err, "%s names %s", document, name)
		}
	}
}

// Every relative link leads to a file that exists and to a heading in it.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile("(?s)```.*?```")
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	for _, document := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(code.ReplaceAllString(readFile(t, document), ""), -1) {
			target := document
			switch {
			case strings.Contains(found[1], "://"):
				continue
			case found[1] != "":
				target = filepath.Join(filepath.Dir(document), found[1])
			}
			text := readFile(t, target)
			if found[2] != "" {
				require.Contains(t, anchors(text), found[2], "%s links to %s", document, found[0])
			}
		}
	}
}

// anchors are the headings of a document in the form that links have.
func anchors(text string) []string {
	headings := captures(`(?m)^#+ (.+)$`, text)
	for i, heading := range headings {
		plain := regexp.MustCompile(`[^\w\s-]`).ReplaceAllString(strings.ToLower(heading), "")
		headings[i] = strings.ReplaceAll(plain, " ", "-")
	}
	return headings
}

// documents returns all Markdown files that are written for readers.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, folder := range []string{"docs", "docs/adr"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.md"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			found = append(found, filepath.Join(folder, filepath.Base(file)))
		}
	}
	return found
}

// section returns the text under a document's heading of the second level.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, document), "\n## "+heading+"\n")
	require.True(t, found, "%s has no section %q", document, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}
