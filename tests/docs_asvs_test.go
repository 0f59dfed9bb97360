package tests_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const asvsDocument = "docs/asvs.md"

// asvsLevel1 are all requirements of level 1 of OWASP ASVS 5.0.0, as many as it
// has, in its order.
const asvsLevel1 = `
	V1.2.1 V1.2.2 V1.2.3 V1.2.4 V1.2.5 V1.3.1 V1.3.2 V1.5.1
	V2.1.1 V2.2.1 V2.2.2 V2.3.1
	V3.2.1 V3.2.2 V3.3.1 V3.4.1 V3.4.2 V3.5.1 V3.5.2 V3.5.3
	V4.1.1 V4.4.1
	V5.2.1 V5.2.2 V5.3.1 V5.3.2
	V6.1.1 V6.2.1 V6.2.2 V6.2.3 V6.2.4 V6.2.5 V6.2.6 V6.2.7 V6.2.8 V6.3.1 V6.3.2 V6.4.1 V6.4.2
	V7.2.1 V7.2.2 V7.2.3 V7.2.4 V7.4.1 V7.4.2
	V8.1.1 V8.2.1 V8.2.2 V8.3.1
	V9.1.1 V9.1.2 V9.1.3 V9.2.1
	V10.4.1 V10.4.2 V10.4.3 V10.4.4 V10.4.5
	V11.3.1 V11.3.2 V11.4.1
	V12.1.1 V12.2.1 V12.2.2
	V13.4.1
	V14.2.1 V14.3.1
	V15.1.1 V15.2.1 V15.3.1`

// asvsLevel2 are those of level 2 of the chapters on encoding, validation, the API,
// authentication, sessions, authorization, self-contained tokens, data and logging.
const asvsLevel2 = `
	V1.1.1 V1.1.2 V1.2.6 V1.2.7 V1.2.8 V1.2.9 V1.3.3 V1.3.4 V1.3.5 V1.3.6 V1.3.7 V1.3.8 V1.3.9 V1.3.10 V1.3.11 V1.4.1 V1.4.2
	V1.4.3 V1.5.2
	V2.1.2 V2.1.3 V2.2.3 V2.3.2 V2.3.3 V2.3.4 V2.4.1
	V4.1.2 V4.1.3 V4.2.1 V4.3.1 V4.3.2 V4.4.2 V4.4.3 V4.4.4
	V6.1.2 V6.1.3 V6.2.9 V6.2.10 V6.2.11 V6.2.12 V6.3.3 V6.3.4 V6.4.3 V6.4.4 V6.5.1 V6.5.2 V6.5.3 V6.5.4 V6.5.5 V6.6.1
	V6.6.2 V6.6.3 V6.8.1 V6.8.2 V6.8.3 V6.8.4
	V7.1.1 V7.1.2 V7.1.3 V7.3.1 V7.3.2 V7.4.3 V7.4.4 V7.4.5 V7.5.1 V7.5.2 V7.6.1 V7.6.2
	V8.1.2 V8.2.3 V8.4.1
	V9.2.2 V9.2.3 V9.2.4
	V14.1.1 V14.1.2 V14.2.2 V14.2.3 V14.2.4 V14.3.2 V14.3.3
	V16.1.1 V16.2.1 V16.2.2 V16.2.3 V16.2.4 V16.2.5 V16.3.1 V16.3.2 V16.3.3 V16.3.4 V16.4.1 V16.4.2 V16.4.3 V16.5.1 V16.5.2
	V16.5.3`

// requirement is a row of the tables.
type requirement struct {
	number, level  string
	verdict, shown string
}

// requirements are the rows. One that is written otherwise than the others is
// found to be missing.
func requirements(t *testing.T) []requirement {
	t.Helper()
	row := regexp.MustCompile(`(?m)^\| (V[\d.]+) \| ([12]) \| [^|]{5,} \| (Met|Not met|Not applicable): ([^|]{5,}) \|$`)
	found := row.FindAllStringSubmatch(readFile(t, asvsDocument), -1)
	rows := make([]requirement, len(found))
	for i, cells := range found {
		rows[i] = requirement{number: cells[1], level: cells[2], verdict: cells[3], shown: cells[4]}
	}
	return rows
}

// TestASVSIsComplete: each requirement has its one row with a verdict, under its
// chapter, and they are counted right.
func TestASVSIsComplete(t *testing.T) {
	t.Parallel()
	numbers, counts := map[string][]string{}, map[string]map[string]int{"1": {}, "2": {}}
	for _, row := range requirements(t) {
		numbers[row.level] = append(numbers[row.level], row.number)
		counts[row.level][row.verdict]++
	}
	require.Equal(t, strings.Fields(asvsLevel1), numbers["1"])
	require.Equal(t, strings.Fields(asvsLevel2), numbers["2"])

	text := readFile(t, asvsDocument)
	require.Len(t, regexp.MustCompile(`(?m)^\| V\d`).FindAllString(text, -1), len(numbers["1"])+len(numbers["2"]))
	want := make([]string, 0, len(counts))
	for _, level := range []string{"1", "2"} {
		want = append(want, fmt.Sprintf("%d | %d | %d | %d", len(numbers[level]),
			counts[level]["Met"], counts[level]["Not met"], counts[level]["Not applicable"]))
	}
	require.Equal(t, want, captures(`(?m)^\| [12][^|]* \| (\d+ \| \d+ \| \d+ \| \d+) \|$`, text))
	for chapter, section := range asvsChapters(t) {
		for _, number := range captures(`(?m)^\| (V\d+)\.`, section) {
			require.Equal(t, chapter, number)
		}
	}
}

// asvsChapters returns the sections of the document by the number they begin with.
func asvsChapters(t *testing.T) map[string]string {
	t.Helper()
	chapters := map[string]string{}
	for _, section := range strings.Split(readFile(t, asvsDocument), "\n## ")[1:] {
		chapter, _, _ := strings.Cut(section, " ")
		chapters[chapter] = section
	}
	require.Len(t, chapters, 16)
	return chapters
}

// TestASVSNamesTests: what is met names the tests that show it, and every test
// that is named is in the file that its name links to.
func TestASVSNamesTests(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`(?:Test|Fuzz)[A-Z]\w*`)
	link := regexp.MustCompile("\\[`(" + named.String() + ")`\\]\\(([\\w./]+_test\\.go)\\)")
	tests, missing := map[string][]string{}, []string{}
	for _, row := range requirements(t) {
		links := link.FindAllStringSubmatch(row.shown, -1)
		require.Len(t, named.FindAllString(row.shown, -1), len(links), "%s names a test without a link to its file", row.number)
		require.False(t, row.verdict == "Met" && len(links) == 0, "%s is met, and no test shows it", row.number)
		for _, found := range links {
			file := filepath.Join(filepath.Dir(asvsDocument), found[2])
			if _, read := tests[file]; !read {
				tests[file] = functionsIn(t, file)
			}
			if !slices.Contains(tests[file], found[1]) {
				missing = append(missing, fmt.Sprintf("%s: %s in %s", row.number, found[1], file))
			}
		}
	}
	require.Empty(t, missing)
}

// functionsIn returns the names of the functions in a file, none where there is no
// such file.
func functionsIn(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	var names []string
	for _, declaration := range parsed.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
			names = append(names, function.Name.Name)
		}
	}
	return names
}
