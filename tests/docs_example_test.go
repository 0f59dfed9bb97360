package tests_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// buildTimeout bounds the build of the example's program, without a cache and on a
// busy machine.
const buildTimeout = 10 * time.Minute

// The worked example in docs/extending.md is applied as it is written: its files are
// laid over the module, and the program that is built with them serves tenants that
// existed before.
func TestDocsExample(t *testing.T) {
	requirePrograms(t, "go")
	program, overlay := filepath.Join(t.TempDir(), "example.exe"), example(t).overlay(t)
	build := sync.OnceValue(func() error { return goBuild(t.Context(), program, overlay) })
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		app := testkit.Start(t, settings)
		core := app.Token("", "ada@example.com")
		app.Organization(core, "acme")
		app.Organization(core, "globex")
		grace, hank := app.Token("acme", "grace@example.com"), app.Token("globex", "hank@example.com")
		app.Close()

		require.NoError(t, build())
		base := serve(t, program, &settings)

		require.Equal(t, `201 {"id":1,"text":"The first"}`, postNote(t, base, grace, "The first"))
		require.Equal(t, `201 {"id":2,"text":"The second"}`, postNote(t, base, grace, "The second"))
		require.Equal(t, `201 {"id":1,"text":"Another's"}`, postNote(t, base, hank, "Another's"))
		require.Contains(t, postNote(t, base, core, "Nobody's"), "tenant_token_required")
		require.Contains(t, postNote(t, base, grace, " "), "validation_failed")
		const text = "SELECT text FROM notes ORDER BY id DESC LIMIT 1"
		require.Equal(t, "The second", testkit.Scalar[string](t, &settings, settings.DatabaseName("acme"), text))
		require.Equal(t, "Another's", testkit.Scalar[string](t, &settings, settings.DatabaseName("globex"), text))

		exported := filepath.Join(t.TempDir(), "acme.zip")
		command := exec.CommandContext(t.Context(), program, "tenants", "export", "acme", exported)
		command.Dir, command.Env = t.TempDir(), environOf(&settings)
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
		require.Contains(t, readZip(t, exported)["tables/notes.jsonl"], `"text":"The second"`)
	})
}

// The test that the example adds passes, and runs.
func TestDocsExampleTest(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "go")
	output, err := goCommand(t.Context(), "test", "-overlay", example(t).overlay(t), "-count=1", "-v",
		"-run", "^TestNotesStayInTheirTenant$", "./tests")
	require.NoError(t, err, output)
	require.Contains(t, output, "--- PASS: TestNotesStayInTheirTenant/sqlite")
}

// worked is the worked example.
type worked struct {
	files     map[string]string // by path
	migration string            // the line that lists the migration
	action    string            // the line that lists the action
	routes    string
	openAPI   string
}

// example reads the worked example from docs/extending.md. A block that is a file
// belongs to the last missing file that is named before it.
func example(t *testing.T) worked {
	t.Helper()
	text := section(t, "docs/extending.md", "Add a table to every tenant")
	found := worked{files: map[string]string{}}
	for _, position := range regexp.MustCompile("(?s)```go\n(.*?)```\n").FindAllStringSubmatchIndex(text, -1) {
		block := text[position[2]:position[3]]
		if !strings.HasPrefix(block, "package ") {
			found.routes = block
			continue
		}
		var path string
		for _, name := range captures("`([a-z0-9_/]+\\.go)`", text[:position[0]]) {
			if _, err := os.Stat(filepath.Join(root, name)); os.IsNotExist(err) {
				path = name
			}
		}
		require.NotContains(t, found.files, path)
		found.files[path] = block
	}
	require.Len(t, found.files, 4)
	described := regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindStringSubmatch(text)
	require.NotNil(t, described)
	found.openAPI = "\n" + described[1]
	found.migration = lineFor(t, text, "Tenant")
	found.action = lineFor(t, text, "Actions")
	return found
}

// lineFor returns the line that the document adds to the list of that name.
func lineFor(t *testing.T, text, list string) string {
	t.Helper()
	lines := captures("Add `([^`]+)` at the end of `"+list+"\\(\\)`", text)
	require.Len(t, lines, 1, list)
	return "\t\t" + lines[0] + "\n"
}

// overlay writes the example's files to a temporary folder, and returns the overlay
// file for the compiler. The module itself does not change.
func (w worked) overlay(t *testing.T) string {
	t.Helper()
	contents := maps.Clone(w.files)
	for path, change := range map[string]struct{ start, end, text string }{
		"database/migrations/migrations.go": {"func Tenant() ", "\t}\n}\n", w.migration},
		"models/action.go":                  {"func Actions() ", "\t}\n}\n", w.action},
		"controllers/routes.go":             {"func NewRouter(", "\treturn router, nil\n", w.routes},
		"docs/openapi.yaml":                 {"\npaths:", "\ncomponents:", w.openAPI},
	} {
		before, rest, _ := strings.Cut(readFile(t, path), change.start)
		head, tail, found := strings.Cut(rest, change.end)
		require.True(t, found, path)
		contents[path] = before + change.start + head + change.text + change.end + tail
	}
	folder, module := t.TempDir(), absolute(t, root)
	replace := map[string]string{}
	for path, content := range contents {
		file := filepath.Join(folder, strings.ReplaceAll(path, "/", "_"))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		replace[filepath.Join(module, path)] = file
	}
	description, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(file, description, 0o600))
	return file
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	whole, err := filepath.Abs(path)
	require.NoError(t, err)
	return whole
}

func goBuild(ctx context.Context, program, overlay string) error {
	_, err := goCommand(ctx, "build", "-overlay", overlay, "-o", program, ".")
	return err
}

// goCommand runs the go command in the module, and returns its output.
func goCommand(ctx context.Context, verb string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "go", append([]string{verb, "-buildvcs=false", "-ldflags=-s -w"}, arguments...)...)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go %s: %w\n%s", verb, err, output)
	}
	return string(output), err
}

// serve runs the program on the databases of these settings until the test ends, and
// returns its address. The program must stop without a failure.
func serve(t *testing.T, program string, settings *testkit.Settings) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 30 * time.Second
	command.Dir = t.TempDir() // no settings of others
	command.Env = environOf(settings)
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := bufio.NewReader(log)
	first, err := lines.ReadString('\n')
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(lines) // to the end of the program
		rest <- string(text)
	}()
	t.Cleanup(func() {
		text := first + <-rest
		_ = command.Wait() // the test's context has ended, and with it the program
		require.True(t, command.ProcessState.Success(), "%s\n%s", command.ProcessState, text)
	})
	require.NoError(t, err)
	base := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(first)
	require.NotEmpty(t, base, first)
	return base
}

// environOf is the environment of the program with these settings.
func environOf(settings *testkit.Settings) []string {
	return append(os.Environ(), "HTTP_ADDR=127.0.0.1:0", "BCRYPT_COST=4", "JWT_SECRET_KEY="+testkit.Secret,
		"DATABASE_URL="+settings.Database.URL, "TENANT_DATABASE_PREFIX="+settings.Database.TenantPrefix,
		"DATABASE_MAX_CONNECTIONS="+strconv.Itoa(settings.Database.MaxConnections))
}

// postNote returns the status and the body of the answer.
func postNote(t *testing.T, base, token, text string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"text": text})
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/notes", strings.NewReader(string(body)))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return fmt.Sprintf("%d %s", answer.StatusCode, raw)
}

// requirePrograms skips the test if a program is missing. On CI it fails the test.
func requirePrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		require.NotEqual(t, "true", os.Getenv("CI"), "%s is missing", name)
		t.Skipf("%s is missing", name)
	}
}

// readFile returns a file of the module, with the line ends of Unix.
func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// captures returns every match of the pattern's only group.
func captures(pattern, text string) []string {
	matches := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	all := make([]string, len(matches))
	for i, match := range matches {
		all[i] = match[1]
	}
	return all
}
