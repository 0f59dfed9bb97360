package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// A useItem is a folder or a request of the collection for people.
type useItem struct {
	Name        string
	Description string // of a folder
	Item        []useItem
	Auth        *useAuth // of a folder
	Event       []postmanEvent
	Request     *useRequest
	Response    []useExample
}

type useRequest struct {
	Method      string
	Description string
	Auth        *useAuth // that of the folder, if there is none
	Header      []useValue
	Body        *struct{ Raw string }
	URL         struct {
		Raw             string
		Query, Variable []useValue
	}
}

type useValue struct {
	Key, Value, Description string
	Disabled                bool
}

type useAuth struct {
	Type   string
	Bearer []useValue
}

// A useExample is an answer that was saved.
type useExample struct {
	Name, Status, Body string
	OriginalRequest    useRequest
	Code               int
	Header             []useValue
}

// operation returns the name of the request's operation in the OpenAPI document.
func (r *useRequest) operation() string {
	path := strings.TrimPrefix(r.URL.Raw, "{{baseUrl}}")
	return r.Method + " " + regexp.MustCompile(`:([a-z]+)`).ReplaceAllString(path, "{$1}")
}

func keys(values []useValue) []string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = value.Key
	}
	return names
}

// useCollection returns the requests with the authorization that they send, and the
// values of the variables.
func useCollection(t *testing.T) (requests []useItem, values map[string]string) {
	t.Helper()
	var root struct {
		Item     []useItem
		Variable []useValue
	}
	text := get(t, "/docs/postman_use.json", &root)
	require.Contains(t, text, "https://schema.getpostman.com/json/collection/v2.1.0/collection.json")
	for _, folder := range root.Item {
		require.NotEmpty(t, folder.Description, folder.Name)
		require.NotNil(t, folder.Auth, folder.Name)
		for _, item := range folder.Item {
			require.NotNil(t, item.Request, item.Name)
			if item.Request.Auth == nil {
				item.Request.Auth = folder.Auth
			}
			requests = append(requests, item)
		}
	}
	values = map[string]string{}
	for _, variable := range root.Variable {
		require.NotEmpty(t, variable.Description, variable.Key)
		require.Contains(t, text, "{{"+variable.Key+"}}")
		values[variable.Key] = variable.Value
	}
	for _, used := range regexp.MustCompile(`\{\{([^}]*)\}\}`).FindAllStringSubmatch(text, -1) {
		require.Contains(t, values, used[1])
	}
	return requests, values
}

func TestPostmanUseHasEachOperationOnce(t *testing.T) {
	t.Parallel()

	requests, _ := useCollection(t)

	sent := make([]string, len(requests))
	for i, item := range requests {
		sent[i] = item.Request.operation()
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(operations(load(t)))), sent)
}

func TestPostmanUseRequests(t *testing.T) {
	t.Parallel()

	requests, values := useCollection(t)
	documented := operations(load(t))
	for _, item := range requests {
		request, operation := item.Request, documented[item.Request.operation()]
		require.NotEmpty(t, request.Description, item.Name)
		require.ElementsMatch(t, names(operation, openapi3.ParameterInQuery), keys(request.URL.Query), item.Name)
		for _, variable := range request.URL.Variable {
			require.Contains(t, request.URL.Raw, "/:"+variable.Key, item.Name)
		}
		require.Len(t, request.URL.Variable, strings.Count(request.URL.Raw, "/:"), item.Name)
		for _, header := range request.Header {
			require.True(t, header.Key == "Content-Type" || slices.Contains(names(operation, openapi3.ParameterInHeader), header.Key), item.Name)
		}
		for _, optional := range slices.Concat(request.URL.Query, request.Header) {
			require.True(t, optional.Key == "Content-Type" || optional.Disabled && optional.Description != "", "%s: %s", item.Name, optional.Key)
		}
		requireUseBody(t, item, operation, values)
		requireUseAuth(t, item, operation)
	}
}

func names(operation *openapi3.Operation, in string) (found []string) {
	for _, parameter := range operation.Parameters {
		if parameter.Value.In == in {
			found = append(found, parameter.Value.Name)
		}
	}
	return found
}

func requireUseBody(t *testing.T, item useItem, operation *openapi3.Operation, values map[string]string) {
	t.Helper()
	require.Equal(t, operation.RequestBody != nil, item.Request.Body != nil, item.Name)
	if operation.RequestBody == nil {
		return
	}
	text := item.Request.Body.Raw
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	var body any
	require.NoError(t, json.Unmarshal([]byte(text), &body), item.Name)
	require.NoError(t, check(operation.RequestBody.Value.Content["application/json"].Schema, body), item.Name)
}

func requireUseAuth(t *testing.T, item useItem, operation *openapi3.Operation) {
	t.Helper()
	auth := item.Request.Auth
	switch {
	case operation.Security == nil || len(*operation.Security) == 0:
		require.Equal(t, &useAuth{Type: "noauth"}, auth, item.Name)
	case slices.ContainsFunc(*operation.Security, func(r openapi3.SecurityRequirement) bool { return r["exportKey"] != nil }):
		require.Equal(t, "{{exportKey}}", auth.Bearer[0].Value, item.Name)
	default:
		require.Equal(t, "bearer", auth.Type, item.Name)
		require.Contains(t, []string{"{{coreToken}}", "{{tenantToken}}"}, auth.Bearer[0].Value, item.Name)
	}
}

// A script saves secrets that the server has made, and does nothing else. None is in the file.
func TestPostmanUseScripts(t *testing.T) {
	t.Parallel()

	requests, values := useCollection(t)
	saved := map[string]bool{}
	secret := regexp.MustCompile(`(Token|Key)$`)
	for _, item := range requests {
		for _, event := range item.Event {
			require.Equal(t, "test", event.Listen, item.Name) // Postman's name for the time after the answer
			script := strings.Join(event.Script.Exec, "\n")
			require.NotRegexp(t, `pm\.(test|expect|sendRequest|execution|setNextRequest|environment|globals)`, script, item.Name)
			for _, set := range regexp.MustCompile(`\.set\('(\w+)'`).FindAllStringSubmatch(script, -1) {
				require.Regexp(t, secret, set[1], item.Name)
				saved[set[1]] = true
			}
		}
	}
	for name, value := range values {
		require.Equal(t, secret.MatchString(name), saved[name], name)
		require.Equal(t, saved[name], value == "", name)
	}
}

func TestPostmanUseExamples(t *testing.T) {
	t.Parallel()

	requests, _ := useCollection(t)
	documented := operations(load(t))
	for _, item := range requests {
		require.NotEmpty(t, item.Response, item.Name)
		require.Less(t, item.Response[0].Code, http.StatusMultipleChoices, "%s: the first is what is meant", item.Name)
		for _, example := range item.Response {
			where := fmt.Sprintf("%s: %s", item.Name, example.Name)
			require.Equal(t, item.Request.Method, example.OriginalRequest.Method, where)
			require.Equal(t, item.Request.URL, example.OriginalRequest.URL, where)
			require.Equal(t, item.Request.Header, example.OriginalRequest.Header, where)
			require.Equal(t, item.Request.Body, example.OriginalRequest.Body, where)
			require.Equal(t, http.StatusText(example.Code), example.Status, where)
			require.True(t, strings.HasPrefix(example.Name, strconv.Itoa(example.Code)+" "), where)
			requireUseExample(t, where, example, documented[item.Request.operation()].Responses.Status(example.Code))
		}
	}
}

func requireUseExample(t *testing.T, where string, example useExample, documented *openapi3.ResponseRef) {
	t.Helper()
	require.NotNil(t, documented, where)
	if len(documented.Value.Content) == 0 {
		require.Empty(t, example.Header, where)
		require.Empty(t, example.Body, where)
		return
	}
	i := slices.IndexFunc(example.Header, func(header useValue) bool { return header.Key == "Content-Type" })
	require.GreaterOrEqual(t, i, 0, where)
	kind, _, _ := strings.Cut(example.Header[i].Value, ";")
	media := documented.Value.Content[kind]
	require.NotNil(t, media, where)
	if !strings.HasSuffix(kind, "json") {
		return
	}
	var body any
	require.NoError(t, json.Unmarshal([]byte(example.Body), &body), where)
	require.NoError(t, check(media.Schema, body), where)
}
