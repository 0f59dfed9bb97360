package tests_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// A savedRequest is a request of the Postman collection for people, with the answers that
// are saved there.
type savedRequest struct {
	Name  string
	Event []struct {
		Script struct{ Exec []string }
	}
	Request struct {
		Method, Description string
		Auth                *savedAuth // that of its folder, if it has none
		Body                struct{ Raw string }
		URL                 struct {
			Raw      string
			Variable []savedValue
		}
	}
	Response []savedAnswer
}

type savedAuth struct{ Bearer []savedValue }

type savedValue struct{ Key, Value string }

type savedAnswer struct {
	Name, Body string
	Code       int
	Header     []savedValue
}

// savedRequests returns the requests in their order, and the values of the variables.
func savedRequests(t *testing.T) (requests []savedRequest, values map[string]string) {
	t.Helper()
	var collection struct {
		Item []struct {
			Auth *savedAuth
			Item []savedRequest
		}
		Variable []savedValue
	}
	require.NoError(t, json.Unmarshal([]byte(readFile(t, "docs/postman_use.json")), &collection))
	for _, folder := range collection.Item {
		for _, saved := range folder.Item {
			if saved.Request.Auth == nil {
				saved.Request.Auth = folder.Auth
			}
			requests = append(requests, saved)
		}
	}
	values = map[string]string{"baseUrl": ""}
	for _, variable := range collection.Variable[1:] {
		values[variable.Key] = variable.Value
	}
	return requests, values
}

// send sends the request with the values of the variables, and saves in them what its
// script does.
func (r *savedRequest) send(app *testkit.App, values map[string]string) testkit.Response {
	fill := func(text string) string {
		for name, value := range values {
			text = strings.ReplaceAll(text, "{{"+name+"}}", value)
		}
		return text
	}
	request := testkit.Request{Method: r.Request.Method, Path: r.Request.URL.Raw}
	for _, variable := range r.Request.URL.Variable {
		request.Path = strings.Replace(request.Path, ":"+variable.Key, variable.Value, 1)
	}
	request.Path = fill(request.Path)
	for _, token := range r.Request.Auth.Bearer {
		request.Token = fill(token.Value)
	}
	if r.Request.Body.Raw != "" {
		request.Body = fill(r.Request.Body.Raw)
	}
	answer := app.Do(request)
	for _, event := range r.Event {
		script := strings.Join(event.Script.Exec, "\n")
		for _, set := range regexp.MustCompile(`\.set\('(\w+)', answer\.(\w+)\)`).FindAllStringSubmatch(script, -1) {
			if answer.Code < http.StatusMultipleChoices {
				values[set[1]] = answer.Text(app, set[2])
			}
		}
	}
	return answer
}

// requireAnswer requires that the answer is like the saved one: in its status, its media
// type, and its fields and their types.
func (r *savedRequest) requireAnswer(t *testing.T, saved savedAnswer, answer testkit.Response) {
	t.Helper()
	require.Equal(t, saved.Code, answer.Code, "%s: %s", r.Name, answer.Raw)
	for _, header := range saved.Header {
		require.NotEmpty(t, answer.Header.Get(header.Key), "%s: %s", r.Name, header.Key)
		if header.Key == "Content-Type" {
			require.Equal(t, header.Value, answer.Header.Get(header.Key), r.Name)
		}
	}
	isJSON := strings.Contains(answer.Header.Get("Content-Type"), "json")
	if !isJSON || strings.Contains(r.Request.Description, "shortened") {
		return
	}
	var want, got any
	require.NoError(t, json.Unmarshal([]byte(saved.Body), &want), r.Name)
	require.NoError(t, json.Unmarshal([]byte(answer.Raw), &got), r.Name)
	requireShape(t, r.Name, want, got)
	if answer.Code >= http.StatusBadRequest {
		require.Equal(t, want.(testkit.JSON)["code"], got.(testkit.JSON)["code"], r.Name) //nolint:forcetypeassert // a problem is an object
	}
}

// requireShape requires the same fields and the same types. Null is of every type.
func requireShape(t *testing.T, where string, want, got any) {
	t.Helper()
	if want == nil || got == nil {
		return
	}
	require.IsType(t, want, got, where)
	switch want := want.(type) {
	case testkit.JSON:
		got, _ := got.(testkit.JSON)
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)), where)
		for name := range want {
			requireShape(t, where+"."+name, want[name], got[name])
		}
	case []any:
		got, _ := got.([]any)
		require.Equal(t, len(want) > 0, len(got) > 0, where)
		if len(want) > 0 {
			requireShape(t, where+"[0]", want[0], got[0])
		}
	}
}

// The Postman collection for people runs from top to bottom with the values that it has,
// and its saved answers are those of the program. The last one of each request is that of
// such a run. Where others are before it, they need backups, or a tenant without an
// organization.
func TestDocsPostmanAnswers(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		requests, values := savedRequests(t)
		app := testkit.Start(t, settings)
		for _, request := range requests {
			answer := request.send(app, values)
			request.requireAnswer(t, request.Response[len(request.Response)-1], answer)
		}

		settings.Backups = filepath.Join(t.TempDir(), "backups")
		app = testkit.Start(t, settings)
		values["coreToken"] = app.Token("", "owner@example.com")
		app.Organization(values["coreToken"], "globex")
		values["tenant"], values["tenantToken"] = "globex", app.Token("initech", "owner@example.com")
		for _, request := range requests {
			if len(request.Response) == 1 {
				continue
			}
			answer := request.send(app, values)
			request.requireAnswer(t, request.Response[0], answer)
			if answer.Code == http.StatusAccepted {
				awaitDone(t, app, values["coreToken"], answer.Header.Get("Location"))
				values["operationId"], values["exportId"] = answer.Text(app, "id"), answer.Text(app, "id")
			}
		}
	})
}
