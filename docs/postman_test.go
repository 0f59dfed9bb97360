package docs_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type postmanItem struct {
	Name        string
	Description string // of a folder
	Item        []postmanItem
	Event       []postmanEvent
	Request     *struct {
		Method      string
		Description string
		URL         struct{ Raw string }
		Header      any
		Auth        any
		Body        any
	}
}

type postmanEvent struct {
	Listen string
	Script struct{ Exec []string }
}

func (i *postmanItem) script(listen string) string {
	var lines []string
	for _, event := range i.Event {
		if event.Listen == listen {
			lines = append(lines, event.Script.Exec...)
		}
	}
	return strings.Join(lines, "\n")
}

// get decodes one of the files as the page serves them.
func get(t *testing.T, path string, into any) string {
	t.Helper()
	answer := ask(t, http.MethodGet, path)
	require.Equal(t, http.StatusOK, answer.Code)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), into))
	return answer.Body.String()
}

// collection returns the requests in the order in which they are sent.
func collection(t *testing.T) (root postmanItem, requests []postmanItem, text string) {
	t.Helper()
	text = get(t, "/docs/postman_collection.json", &root)
	var walk func(items []postmanItem)
	walk = func(items []postmanItem) {
		for _, item := range items {
			if item.Request != nil {
				requests = append(requests, item)
			}
			walk(item.Item)
		}
	}
	walk(root.Item)
	require.NotEmpty(t, requests)
	return root, requests, text
}

func TestPostmanRequests(t *testing.T) {
	t.Parallel()

	_, requests, text := collection(t)

	require.Contains(t, text, "https://schema.getpostman.com/json/collection/v2.1.0/collection.json")
	for _, item := range requests {
		require.NotEmpty(t, item.Request.Description, item.Name)
		require.True(t, strings.HasPrefix(item.Request.URL.Raw, "{{base_url}}/"), item.Name)
		require.NotContains(t, strings.TrimPrefix(item.Request.URL.Raw, "{{base_url}}"), "//", item.Name)
		script := item.script("test")
		require.Contains(t, script, "pm.test(", item.Name)
		require.Contains(t, script, "pm.response.to.have.status(", item.Name)
	}
}

// Every error says which one it is: by its text and by its code.
func TestPostmanErrors(t *testing.T) {
	t.Parallel()

	_, requests, _ := collection(t)
	codes := load(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum
	asserted := regexp.MustCompile(`problem\.code\)\.to\.eql\('([a-z_]+)'\)`)
	failed := regexp.MustCompile(`have\.status\([45]\d\d\)`)
	for _, item := range requests {
		script := item.script("test")
		if !failed.MatchString(script) {
			continue
		}
		found := asserted.FindStringSubmatch(script)
		require.NotNil(t, found, item.Name)
		require.Contains(t, codes, found[1], item.Name)
		require.Contains(t, script, "problem.detail).to.eql(", item.Name)
	}
}

func TestPostmanFolders(t *testing.T) {
	t.Parallel()

	root, _, _ := collection(t)

	require.Contains(t, root.script("test"), "pm.test(", "what holds for every answer")
	for _, folder := range root.Item {
		require.NotEmpty(t, folder.Item, folder.Name)
		require.NotEmpty(t, folder.Description, folder.Name)
	}
}

func TestPostmanCoversTheAPI(t *testing.T) {
	t.Parallel()

	_, requests, _ := collection(t)
	sent := make([]string, 0, len(requests))
	for _, item := range requests {
		path, _, _ := strings.Cut(strings.TrimPrefix(item.Request.URL.Raw, "{{base_url}}"), "?")
		sent = append(sent, item.Request.Method+" "+path)
	}
	parameter := regexp.MustCompile(`\{[a-z]+\}`)
	for name := range operations(load(t)) {
		method, path, _ := strings.Cut(name, " ")
		pattern := regexp.MustCompile("^" + method + " " + parameter.ReplaceAllString(path, "[^/]+") + "$")
		require.True(t, slices.ContainsFunc(sent, pattern.MatchString), "the collection never sends %s", name)
	}
}

// Each variable is in the environment, or made by the script that runs just
// before the request; none is misspelt.
func TestPostmanVariables(t *testing.T) {
	t.Parallel()

	var environment struct {
		Values []struct{ Key, Value string }
	}
	get(t, "/docs/postman_environment.json", &environment)
	declared := map[string]string{}
	for _, variable := range environment.Values {
		declared[variable.Key] = variable.Value
	}
	require.Equal(t, "http://127.0.0.1:8000", declared["base_url"])

	_, requests, text := collection(t)
	used := regexp.MustCompile(`\{\{([^}]*)\}\}`)
	script := regexp.MustCompile(`pm\.environment\.[sg]et\('([a-z_]+)'`)
	for _, set := range script.FindAllStringSubmatch(text, -1) {
		require.Contains(t, declared, set[1])
	}
	for _, item := range requests {
		raw, err := json.Marshal(item.Request)
		require.NoError(t, err)
		for _, variable := range used.FindAllStringSubmatch(string(raw), -1) {
			local := strings.Contains(item.script("prerequest"), "pm.variables.set('"+variable[1]+"'")
			_, known := declared[variable[1]]
			require.True(t, known || local, "%s uses %s", item.Name, variable[1])
		}
	}
}
