package tests_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// importers returns, for every package that the program's own code imports, the
// folders that do.
func importers(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name, nested := entry.Name(), path != root; {
		case err != nil:
			return err
		case entry.IsDir() && nested && (name == "tests" || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case entry.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, spec := range parsed.Imports {
			name, _ := strconv.Unquote(spec.Path.Value) // it has been parsed
			if !slices.Contains(folders[name], folder) {
				folders[name] = append(folders[name], folder)
			}
		}
		return err
	})
	require.NoError(t, err)
	require.Contains(t, folders, "github.com/gin-gonic/gin", "it looks in the right place")
	return folders
}

// TestCryptographyIsWhatIsKnown: HMAC and SHA-256, bcrypt for passwords, PBKDF2
// where PostgreSQL's SCRAM asks for it, the system's random numbers, and comparisons
// that take the same time. Backups and exports are encrypted by age; nothing else
// encrypts, and nothing is broken. What comes to it belongs into docs/asvs.md, too.
func TestCryptographyIsWhatIsKnown(t *testing.T) {
	t.Parallel()
	var used []string
	for name := range importers(t) {
		if strings.HasPrefix(name, "crypto/") || strings.HasPrefix(name, "golang.org/x/crypto/") {
			used = append(used, name)
		}
	}
	require.ElementsMatch(t, []string{
		"crypto/hmac", "crypto/pbkdf2", "crypto/rand", "crypto/sha256", "crypto/subtle", "golang.org/x/crypto/bcrypt",
	}, used)
}

// TestNothingRunsWhatItIsGiven: no code of the program's loads code, fills in templates, or
// reads formats that can reach for more than is in them. It starts no other program but psql
// or sqlite3 for an operator, and pg_dump and pg_restore, for which config looks.
func TestNothingRunsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	folders := importers(t)
	for _, name := range []string{
		"plugin", "text/template", "html/template", "encoding/xml", "encoding/gob", "net/rpc", "net/smtp", "unsafe", "C",
	} {
		require.Empty(t, folders[name], name)
	}
	require.Equal(t, []string{filepath.Join("commands", "sqlrun"), "config", filepath.Join("database", "postgres", "copies")}, folders["os/exec"])
	for _, name := range []string{"math/rand", "math/rand/v2"} { // nothing that can be guessed
		require.Empty(t, folders[name], name)
	}
}

// TestImagesAreExact: the same commit builds and starts the same versions next year.
func TestImagesAreExact(t *testing.T) {
	t.Parallel()
	images := append(captures(`(?m)^FROM (\S+)`, readFile(t, "Dockerfile")),
		captures(`(?m)^\s+image: (\S+)$`, readFile(t, "compose.yaml"))...)
	require.Len(t, images, 3)
	for _, image := range images {
		if image != "scratch" {
			require.Regexp(t, `^(golang:\d+\.\d+\.\d+|postgres:\d+\.\d+)$`, image)
		}
	}
}

// TestTheImageIsBuiltAsARelease, with the same flags but for those of Git, which an image
// is built without.
func TestTheImageIsBuiltAsARelease(t *testing.T) {
	t.Parallel()
	for _, file := range []string{".goreleaser.yaml", "Dockerfile"} {
		text := readFile(t, file)
		for _, flag := range []string{"CGO_ENABLED=0", "-trimpath", "-tags=nomsgpack", `"-s -w -X multitenant/version.number=`} {
			require.Contains(t, text, flag, file)
		}
	}
}
