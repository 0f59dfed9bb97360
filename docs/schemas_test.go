package docs_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// An answer with a field that nobody has thought of must not pass.
func TestAnswersAreClosed(t *testing.T) {
	t.Parallel()

	open := map[string]bool{"OpenAPIDocument": true} // OpenAPI's business, not ours
	for _, request := range []string{
		"Registration", "Credentials", "Refreshing", "PasswordChange", "PasswordRedemption", "ProfileChange", "NewOrganization", "OrganizationChange",
		"TenantChange", "NewTenantUser", "TenantUserChange", "NewInvitation", "Restoration",
	} {
		open[request] = true // unknown fields of a request are ignored
	}
	for _, shared := range []string{"OperationFields", "InvitationFields"} {
		open[shared] = true // the schemas that are made of them are closed
	}
	for name, schema := range load(t).Components.Schemas {
		if !schema.Value.Type.Is(openapi3.TypeObject) {
			continue
		}
		fields := schema.Value.AdditionalProperties
		if schema.Value.AllOf != nil {
			fields = schema.Value.UnevaluatedProperties
		}
		require.Equal(t, !open[name], fields.Has != nil && !*fields.Has, name)
	}
}

func TestUserSchema(t *testing.T) {
	t.Parallel()

	schema := load(t).Paths.Find("/api/users/me").Get.Responses.Status(200).Value.Content["application/json"].Schema
	core := map[string]any{
		"id": 1.0, "email": "ada@example.com", "full_name": nil, "is_active": true, "created_at": "2026-11-24T09:30:00Z",
	}
	with := func(fields map[string]any) map[string]any {
		user := maps.Clone(core)
		maps.Copy(user, fields)
		return user
	}
	for name, tc := range map[string]struct {
		user map[string]any
		fits bool
	}{
		"core user":       {core, true},
		"tenant user":     {with(map[string]any{"bio": nil, "phone": "1", "role": "member"}), true},
		"half a tenant's": {with(map[string]any{"bio": nil}), false},
		"leaked hash":     {with(map[string]any{"hashed_password": "$2a$"}), false},
		"no such role":    {with(map[string]any{"bio": nil, "phone": nil, "role": "root"}), false},
		"leaked by both":  {with(map[string]any{"bio": nil, "phone": nil, "role": "owner", "core_user_id": 1.0}), false},
		"id is text":      {with(map[string]any{"id": "1"}), false},
		"id is zero":      {with(map[string]any{"id": 0.0}), false},
		"no address":      {with(map[string]any{"email": "ada"}), false},
		"no time":         {with(map[string]any{"created_at": "yesterday"}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := check(schema, tc.user)

			require.Equal(t, tc.fits, err == nil, "%v", err)
		})
	}
}

// A schema that is made of another allows no field beside its own and those.
func TestOperationSchemas(t *testing.T) {
	t.Parallel()

	doc := load(t)
	schemas := doc.Components.Schemas
	created := doc.Paths.Find("/api/organizations/{slug}/export").Post.Responses.Status(202)
	export, isObject := created.Value.Content["application/json"].Examples["queued"].Value.Value.(map[string]any)
	require.True(t, isObject)
	operation := maps.Clone(export)
	delete(operation, "link")
	delete(operation, "key")
	leaking := maps.Clone(export)
	leaking["args"] = "{}"

	require.NoError(t, check(schemas["Operation"], operation))
	require.Error(t, check(schemas["Operation"], export), "a key is shown once")
	require.NoError(t, check(schemas["ExportOperation"], export))
	require.Error(t, check(schemas["ExportOperation"], operation))
	require.Error(t, check(schemas["ExportOperation"], leaking))
}

// Of several schemas that an answer may have, generated clients take the first that fits and
// lose the fields of the others.
func TestAnswersHaveOneSchema(t *testing.T) {
	t.Parallel()

	doc := load(t)
	for name, schema := range doc.Components.Schemas {
		requireOneSchema(t, name, schema.Value)
		for field, property := range schema.Value.Properties {
			requireOneSchema(t, name+"."+field, property.Value)
		}
	}
	for name, operation := range operations(doc) {
		for _, response := range operation.Responses.Map() {
			for _, media := range response.Value.Content {
				requireOneSchema(t, name, media.Schema.Value)
			}
		}
	}
}

// requireOneSchema allows null beside the schema.
func requireOneSchema(t *testing.T, where string, schema *openapi3.Schema) {
	t.Helper()
	for _, choices := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf} {
		others := slices.DeleteFunc(slices.Clone(choices), func(choice *openapi3.SchemaRef) bool {
			return choice.Value.Type.Is(openapi3.TypeNull)
		})
		require.LessOrEqual(t, len(others), 1, where)
	}
}

// Were examples not looked at, the tests of examples would show nothing.
func TestBrokenExampleIsFound(t *testing.T) {
	t.Parallel()

	doc := load(t)
	example := doc.Paths.Find("/health").Get.Responses.Status(200).Value.Content["application/json"].Examples["healthy"]
	example.Value.Value = map[string]any{"status": "ill"}

	require.Error(t, doc.Validate(t.Context()))
}

func TestRequestLimits(t *testing.T) {
	t.Parallel()

	schemas := load(t).Components.Schemas
	for _, tc := range []struct {
		schema, body string
		fits         bool
	}{
		{"Registration", `{"email": "ada@example.com", "password": "12345678"}`, true},
		{"Registration", `{"email": "ada@example.com", "password": "12345678", "role": "admin"}`, true},
		{"Registration", `{"email": "ada@example.com", "password": "1234567"}`, false},
		{"Registration", `{"email": "ada", "password": "12345678"}`, false},
		{"Registration", `{"email": "ada@example.com"}`, false},
		{"Credentials", `{"email": "ada", "password": "1"}`, true},
		{"Refreshing", `{"refresh_token": "anything"}`, true},
		{"Refreshing", `{}`, false},
		{"PasswordChange", `{"current_password": "1", "new_password": "12345678"}`, true},
		{"PasswordChange", `{"current_password": "1", "new_password": "1234567"}`, false},
		{"PasswordRedemption", `{"token": "anything", "new_password": "12345678"}`, true},
		{"PasswordRedemption", `{"token": "anything", "new_password": "1234567"}`, false},
		{"PasswordRedemption", `{"new_password": "12345678"}`, false},
		{"NewOrganization", `{"name": "Acme", "slug": "acme", "description": null}`, true},
		{"NewOrganization", `{"name": "Acme", "slug": "a"}`, false},
		{"NewOrganization", `{"name": "Acme", "slug": "Acme"}`, false},
		{"NewOrganization", `{"name": "", "slug": "acme"}`, false},
		{"OrganizationChange", `{}`, true},
		{"OrganizationChange", `{"description": null}`, true},
		{"OrganizationChange", `{"name": null}`, false},
		{"OrganizationChange", `{"is_active": null}`, false},
		{"NewOrganization", `{"name": "Acme", "slug": "acme", "registration": "closed"}`, true},
		{"OrganizationChange", `{"registration": "Open"}`, false},
		{"OrganizationChange", `{"registration": null}`, false},
		{"NewInvitation", `{"email": "ada@example.com"}`, true},
		{"NewInvitation", `{"email": "ada@example.com", "role": null}`, true},
		{"NewInvitation", `{"email": "ada@example.com", "role": "guest"}`, false},
		{"NewInvitation", `{"role": "member"}`, false},
		{"ProfileChange", `{"full_name": null, "bio": null, "phone": null}`, true},
		{"NewTenantUser", `{"email": "ada@example.com", "password": "12345678", "role": null, "bio": null}`, true},
		{"NewTenantUser", `{"email": "ada@example.com", "password": "12345678", "role": "root"}`, false},
		{"TenantUserChange", `{"full_name": null, "role": "owner", "is_active": false}`, true},
		{"TenantUserChange", `{"role": null}`, false},
		{"TenantUserChange", `{"is_active": null}`, false},
		{"ProfileChange", `{"phone": "123456789012345678901234567890123"}`, false},
	} {
		t.Run(tc.schema+" "+tc.body, func(t *testing.T) {
			t.Parallel()

			var body any
			require.NoError(t, json.Unmarshal([]byte(tc.body), &body))

			err := check(schemas[tc.schema], body)

			require.Equal(t, tc.fits, err == nil, "%v", err)
		})
	}
}
