package testkit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Password is what the people of tests use unless they say otherwise.
const Password = "correct horse battery"

// JSON is an object, as it is sent and received.
type JSON = map[string]any

// Request is one request to the application.
type Request struct {
	Method string
	Path   string
	Tenant string // X-TENANT, where not empty
	Token  string // the bearer token, where not empty
	Body   any    // a string is sent as it is, anything else as JSON
	Header http.Header
}

// Response is what came back, read to the end.
type Response struct {
	Code   int
	Header http.Header
	Raw    string
}

// Do sends the request and checks the answer against the OpenAPI document.
func (app *App) Do(r Request) Response {
	app.tb.Helper()
	response, err := app.Try(r)
	require.NoError(app.tb, err)
	return response
}

// Try is Do for when the application may be out of reach. It may be called from
// any goroutine; what breaks the contract fails the test.
func (app *App) Try(r Request) (Response, error) {
	request, err := app.newRequest(r)
	if err != nil {
		return Response{}, err
	}
	response, err := app.exchange(request)
	if err != nil {
		return Response{}, err
	}
	err = checkContract(request, response)
	if sent, ok := r.Body.(JSON); ok && err == nil {
		err = checkNoEcho(sent, response)
	}
	if err != nil {
		app.tb.Errorf("%s %s breaks the contract: %v\n%d %s", r.Method, r.Path, err, response.Code, response.Raw)
	}
	return response, nil
}

// Time requires the status and returns how long the answer took. It checks
// nothing else of it, which would take longer.
func (app *App) Time(r Request, status int) time.Duration {
	app.tb.Helper()
	response, took, err := app.Measure(r)
	require.NoError(app.tb, err)
	require.Equal(app.tb, status, response.Code, response.Raw)
	return took
}

// Measure sends the request and returns how long the answer took, whatever it is. It
// checks nothing, and may be called from any goroutine.
func (app *App) Measure(r Request) (response Response, took time.Duration, err error) {
	request, err := app.newRequest(r)
	if err != nil {
		return Response{}, 0, err
	}
	begun := time.Now()
	response, err = app.exchange(request)
	return response, time.Since(begun), err
}

func (app *App) exchange(request *http.Request) (Response, error) {
	client := *app.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request) //nolint:gosec // the application under test is where it goes
	if err != nil {
		return Response{}, err
	}
	defer func() { _ = answer.Body.Close() }() // it is read to its end
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return Response{}, err
	}
	return Response{Code: answer.StatusCode, Header: answer.Header, Raw: string(raw)}, nil
}

// checkNoEcho makes sure that a password or a token does not come back.
func checkNoEcho(sent JSON, response Response) error {
	for field := range strings.FieldsSeq("password current_password new_password refresh_token invitation_token token") {
		if secret, ok := sent[field].(string); ok && len(secret) > 7 { // shorter ones are found by chance
			if err := requireNone(response.Raw, secret); err != nil {
				return err
			}
		}
	}
	return nil
}

// For returns the application for the use of a sub-test, which is the one that
// fails then.
func (app *App) For(tb testing.TB) *App {
	tb.Helper()
	own := *app
	own.tb = tb
	return &own
}

func (app *App) newRequest(r Request) (*http.Request, error) {
	var body io.Reader
	switch content := r.Body.(type) {
	case nil:
	case string:
		body = strings.NewReader(content)
	default:
		encoded, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(app.tb.Context(), r.Method, app.URL+r.Path, body)
	if err != nil {
		return nil, err
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	if body != nil && request.Header.Values("Content-Type") == nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.Tenant != "" {
		request.Header.Set("X-Tenant", r.Tenant)
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	return request, nil
}

// Get sends a GET request with a token.
func (app *App) Get(path, token string) Response {
	app.tb.Helper()
	return app.Do(Request{Method: http.MethodGet, Path: path, Token: token})
}

// Post sends a POST request with a token.
func (app *App) Post(path, token string, body any) Response {
	app.tb.Helper()
	return app.Do(Request{Method: http.MethodPost, Path: path, Token: token, Body: body})
}

// Put sends a PUT request with a token.
func (app *App) Put(path, token string, body any) Response {
	app.tb.Helper()
	return app.Do(Request{Method: http.MethodPut, Path: path, Token: token, Body: body})
}

// Delete sends a DELETE request with a token.
func (app *App) Delete(path, token string) Response {
	app.tb.Helper()
	return app.Do(Request{Method: http.MethodDelete, Path: path, Token: token})
}

// Register registers somebody with Password, at the core where tenant is empty.
func (app *App) Register(tenant, email string) Response {
	app.tb.Helper()
	return app.Do(Registration(tenant, email))
}

// Registration is the request that Register sends.
func Registration(tenant, email string) Request {
	return Request{
		Method: http.MethodPost, Path: "/api/auth/register", Tenant: tenant,
		Body: JSON{"email": email, "password": Password, "full_name": "Somebody"},
	}
}

// Login logs somebody in with Password, at the core where tenant is empty.
func (app *App) Login(tenant, email string) Response {
	app.tb.Helper()
	return app.LoginWith(tenant, email, Password)
}

// LoginWith is Login with another password.
func (app *App) LoginWith(tenant, email, password string) Response {
	app.tb.Helper()
	return app.Do(Request{
		Method: http.MethodPost, Path: "/api/auth/login", Tenant: tenant,
		Body: JSON{"email": email, "password": password},
	})
}

// Refreshing is the request that exchanges a refresh token.
func Refreshing(token string) Request {
	return Request{Method: http.MethodPost, Path: "/api/auth/refresh", Body: JSON{"refresh_token": token}}
}

// Token registers somebody and returns their token.
func (app *App) Token(tenant, email string) string {
	app.tb.Helper()
	registered := app.Register(tenant, email)
	require.Equal(app.tb, http.StatusOK, registered.Code, registered.Raw)
	return app.TokenOf(tenant, email)
}

// TokenOf logs somebody in and returns their token.
func (app *App) TokenOf(tenant, email string) string {
	app.tb.Helper()
	login := app.Login(tenant, email)
	require.Equal(app.tb, http.StatusOK, login.Code, login.Raw)
	return login.Text(app, "access_token")
}

// CreateOrganization sends the request that makes an organization.
func (app *App) CreateOrganization(token, slug string) Response {
	app.tb.Helper()
	return app.Do(Creation(token, slug))
}

// Creation is the request that CreateOrganization sends.
func Creation(token, slug string) Request {
	return Request{
		Method: http.MethodPost, Path: "/api/organizations/", Token: token,
		Body: JSON{"name": "Organization " + slug, "slug": slug},
	}
}

// Organization makes an organization and requires that it is made.
func (app *App) Organization(token, slug string) {
	app.tb.Helper()
	created := app.CreateOrganization(token, slug)
	require.Equal(app.tb, http.StatusOK, created.Code, created.Raw)
}

// Object returns the body as an object.
func (r Response) Object(app *App) JSON {
	app.tb.Helper()
	var object JSON
	require.NoError(app.tb, json.Unmarshal([]byte(r.Raw), &object), r.Raw)
	return object
}

// Text returns one field of the body, which must be a string.
func (r Response) Text(app *App, field string) string {
	app.tb.Helper()
	text, ok := r.Object(app)[field].(string)
	require.True(app.tb, ok, "%s in %s", field, r.Raw)
	return text
}

// RequireProblem requires an error of that status, code and detail.
func (r Response) RequireProblem(app *App, status int, code, detail string) {
	app.tb.Helper()
	require.Equal(app.tb, status, r.Code, r.Raw)
	require.Equal(app.tb, "application/problem+json", r.Header.Get("Content-Type"))
	require.Equal(app.tb, code, r.Text(app, "code"), r.Raw)
	require.Equal(app.tb, detail, r.Text(app, "detail"), r.Raw)
}

// RequireInvalid requires a validation error of just these fields, each with
// its code.
func (r Response) RequireInvalid(app *App, want map[string]string) {
	app.tb.Helper()
	r.RequireProblem(app, http.StatusUnprocessableEntity, "validation_failed", "Validation failed")
	var body struct {
		Errors []struct{ Field, Code string }
	}
	require.NoError(app.tb, json.Unmarshal([]byte(r.Raw), &body), r.Raw)
	got := make(map[string]string, len(body.Errors))
	for _, problem := range body.Errors {
		require.NotContains(app.tb, got, problem.Field, "a field is reported once: %s", r.Raw)
		got[problem.Field] = problem.Code
	}
	require.Equal(app.tb, want, got, r.Raw)
}
