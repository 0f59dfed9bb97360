package docs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"multitenant/docs"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := docs.OpenAPI()
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(document)
	require.NoError(t, err)
	return doc
}

// operations returns every operation under its method and path.
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	found := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			found[method+" "+path] = operation
		}
	}
	return found
}

// check validates a value as strictly as the document can be read.
func check(schema *openapi3.SchemaRef, value any) error {
	return schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("email", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForEmail)),
		openapi3.MultiErrors())
}

func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()

	doc := load(t)

	require.NoError(t, doc.Validate(t.Context()))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.Equal(t, "Multi-Tenant API", doc.Info.Title)
}

func TestOpenAPIHasTheEndpoints(t *testing.T) {
	t.Parallel()

	require.ElementsMatch(t, []string{
		"GET /", "GET /health", "GET /ready", "GET /docs", "GET /openapi.json",
		"POST /api/auth/register", "POST /api/auth/login", "POST /api/auth/refresh", "POST /api/auth/logout",
		"POST /api/auth/password-reset", "POST /api/users/{id}/password-reset",
		"GET /api/auth/sessions", "DELETE /api/auth/sessions/{id}",
		"GET /api/audit/",
		"GET /api/invitations/", "POST /api/invitations/", "DELETE /api/invitations/{id}",
		"GET /api/organizations/", "POST /api/organizations/",
		"GET /api/organizations/{slug}", "PUT /api/organizations/{slug}", "DELETE /api/organizations/{slug}",
		"POST /api/organizations/{slug}/token",
		"GET /api/organizations/{slug}/backups",
		"POST /api/organizations/{slug}/backups",
		"POST /api/organizations/{slug}/restore",
		"POST /api/organizations/{slug}/export",
		"GET /api/exports/{id}",
		"GET /api/operations/{id}",
		"GET /api/tenant", "PUT /api/tenant", "DELETE /api/tenant",
		"GET /api/users/me", "GET /api/users/me/export", "PUT /api/users/me", "PUT /api/users/me/password",
		"GET /api/users/", "POST /api/users/",
		"GET /api/users/{id}", "PUT /api/users/{id}", "DELETE /api/users/{id}",
	}, slices.Collect(maps.Keys(operations(load(t)))))
}

func TestOpenAPIIsNotShared(t *testing.T) {
	t.Parallel()

	first, err := docs.OpenAPI()
	require.NoError(t, err)
	clear(first)
	second, err := docs.OpenAPI()
	require.NoError(t, err)

	require.True(t, json.Valid(second))
}

func TestOperationsAreExplained(t *testing.T) {
	t.Parallel()

	ids := map[string]string{}
	for name, operation := range operations(load(t)) {
		require.NotEmpty(t, operation.OperationID, name)
		require.Empty(t, ids[operation.OperationID], "%s has the operation id of another", name)
		ids[operation.OperationID] = name
		require.NotEmpty(t, operation.Summary, name)
		require.NotEmpty(t, operation.Description, name)
		require.NotEmpty(t, operation.Tags, name)
		require.NotNil(t, operation.Responses.Status(http.StatusMethodNotAllowed), name)
		require.NotNil(t, operation.Responses.Status(http.StatusInternalServerError), name)
		if operation.RequestBody == nil {
			continue
		}
		for _, status := range []int{
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		} {
			require.NotNil(t, operation.Responses.Status(status), "%s takes a body, so it has a %d", name, status)
		}
	}
}

func TestRequestExamples(t *testing.T) {
	t.Parallel()

	for name, operation := range operations(load(t)) {
		if operation.RequestBody == nil {
			continue
		}
		for _, media := range operation.RequestBody.Value.Content {
			requireExamples(t, name, media)
		}
	}
}

func TestParameterExamples(t *testing.T) {
	t.Parallel()

	doc := load(t)
	for path, item := range doc.Paths.Map() {
		requireParameterExamples(t, path, item.Parameters)
	}
	for name, operation := range operations(doc) {
		requireParameterExamples(t, name, operation.Parameters)
	}
}

func requireParameterExamples(t *testing.T, where string, parameters openapi3.Parameters) {
	t.Helper()
	for _, parameter := range parameters {
		schema := parameter.Value.Schema
		require.NotEmpty(t, schema.Value.Examples, "%s: %s", where, parameter.Value.Name)
		for _, example := range schema.Value.Examples {
			require.NoError(t, check(schema, example), "%s: %s", where, parameter.Value.Name)
		}
		if parameter.Value.Example != nil {
			require.NoError(t, check(schema, parameter.Value.Example), "%s: %s", where, parameter.Value.Name)
		}
	}
}

// An id has one schema, in paths and in bodies: programs pass on what they were given.
func TestIDsAreAlike(t *testing.T) {
	t.Parallel()

	doc := load(t)
	for path, item := range doc.Paths.Map() {
		id := item.Parameters.GetByInAndName(openapi3.ParameterInPath, "id")
		isOperation := strings.HasPrefix(path, "/api/operations/") || strings.HasPrefix(path, "/api/exports/")
		switch {
		case id == nil:
			require.NotContains(t, path, "{id}")
		case isOperation:
			require.Equal(t, "uuid", id.Schema.Value.Format, path)
		default:
			requireInteger(t, path, id.Schema.Value)
		}
	}
	for name, schema := range doc.Components.Schemas {
		for field, property := range schema.Value.Properties {
			isID := field == "id" || strings.HasSuffix(field, "_id") || field == "invited_by"
			if isID && !property.Value.Type.Includes(openapi3.TypeString) {
				requireInteger(t, name+"."+field, property.Value)
			}
		}
	}
}

func requireInteger(t *testing.T, where string, schema *openapi3.Schema) {
	t.Helper()
	require.True(t, schema.Type.Includes(openapi3.TypeInteger), where)
	require.Equal(t, "int64", schema.Format, where)
	require.InDelta(t, 1, *schema.Min, 0, where)
}

// The field for X-TENANT must start out empty: what is filled in is sent.
func TestTenantHeader(t *testing.T) {
	t.Parallel()

	for name, parameter := range load(t).Components.Parameters {
		parameter := parameter.Value
		if parameter.Name != "X-TENANT" {
			continue
		}
		require.False(t, parameter.Required, name)
		require.Nil(t, parameter.Example, name)
		require.Nil(t, parameter.Examples, name)
		require.Nil(t, parameter.Schema.Value.Example, name)
		require.Nil(t, parameter.Schema.Value.Default, name)
		for _, bad := range []string{"", "Acme", "-acme", "acme-", "a b", "../core", "x?host=evil"} {
			require.Error(t, check(parameter.Schema, bad), bad)
		}
	}
}

func TestResponseExamples(t *testing.T) {
	t.Parallel()

	for name, operation := range operations(load(t)) {
		for status, response := range operation.Responses.Map() {
			where := name + " " + status
			isDeletion := strings.HasPrefix(name, http.MethodDelete)
			if status == strconv.Itoa(http.StatusNoContent) || isDeletion && status == strconv.Itoa(http.StatusAccepted) {
				require.Empty(t, response.Value.Content, where)
				continue
			}
			types := 1
			if where == "GET / 200" { // it is also a page
				types = 2
			}
			require.Len(t, response.Value.Content, types, where)
			for _, media := range response.Value.Content {
				requireExamples(t, where, media)
			}
		}
	}
}

func requireExamples(t *testing.T, where string, media *openapi3.MediaType) {
	t.Helper()
	require.NotEmpty(t, media.Examples, "%s has no example", where)
	for name, example := range media.Examples {
		require.NotEmpty(t, example.Value.Summary, "%s: %s", where, name)
		require.NoError(t, check(media.Schema, example.Value.Value), "%s: %s", where, name)
	}
}

func TestErrorsAreProblems(t *testing.T) {
	t.Parallel()

	doc := load(t)
	statuses := map[string]int{} // by code: one kind of error has one status
	for name, operation := range operations(doc) {
		for status, response := range operation.Responses.Map() {
			number, err := strconv.Atoi(status)
			require.NoError(t, err)
			if number < http.StatusBadRequest {
				continue
			}
			media := response.Value.Content["application/problem+json"]
			require.NotNil(t, media, "%s %s", name, status)
			require.Equal(t, "#/components/schemas/Problem", media.Schema.Ref, "%s %s", name, status)
			for _, example := range media.Examples {
				requireProblem(t, fmt.Sprintf("%s %s", name, status), number, example.Value.Value, statuses)
			}
		}
	}

	statuses["not_found"] = http.StatusNotFound // of paths that are none
	for _, code := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		require.Contains(t, statuses, code, "a code without an example")
	}
}

func requireProblem(t *testing.T, where string, status int, example any, statuses map[string]int) {
	t.Helper()
	raw, err := json.Marshal(example)
	require.NoError(t, err)
	var problem struct {
		Title  string
		Status int
		Code   string
		Errors []any
	}
	require.NoError(t, json.Unmarshal(raw, &problem))
	require.Equal(t, status, problem.Status, where)
	require.Equal(t, http.StatusText(status), problem.Title, where)
	require.Equal(t, status == http.StatusUnprocessableEntity, len(problem.Errors) > 0, where)
	// A slug that rests is a name in a body, and a place that is not there in a header.
	if known, seen := statuses[problem.Code]; seen && problem.Code != "slug_resting" {
		require.Equal(t, known, status, "%s: %s has two statuses", where, problem.Code)
	}
	statuses[problem.Code] = status
}

func TestResponseHeaders(t *testing.T) {
	t.Parallel()

	needed := map[string]string{
		"201": "Location", "401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After",
	}
	for name, operation := range operations(load(t)) {
		for status, response := range operation.Responses.Map() {
			require.Contains(t, response.Value.Headers, "X-Request-ID", "%s %s", name, status)
			if header, some := needed[status]; some {
				require.Contains(t, response.Value.Headers, header, "%s %s", name, status)
			}
			for header, ref := range response.Value.Headers {
				// A deletion is an operation only where a last backup is made.
				isOptional := status == "202" && header == "Location" && strings.HasPrefix(name, http.MethodDelete)
				require.Equal(t, !isOptional, ref.Value.Required, "%s %s: %s", name, status, header)
			}
		}
	}
}
