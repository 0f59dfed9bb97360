package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"multitenant/docs"
)

// contract is the OpenAPI document in the form that answers are checked
// against. It never changes, and reading it takes a while: once a process.
var contract = sync.OnceValues(loadContract)

// checked holds the forms of the answers that were valid: most are alike.
var checked sync.Map

func loadContract() (routers.Router, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	raw, err := docs.OpenAPI()
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	document.Servers = nil // tests run on a port of their own
	return gorillamux.NewRouter(document)
}

// checkContract holds an answer to the OpenAPI document, and to what every
// answer of the application owes its caller.
func checkContract(request *http.Request, response Response) error {
	return errors.Join(checkDocument(request, response), checkHeaders(request, response), checkProblem(request, response))
}

// checkDocument compares the answer with the OpenAPI document: its status,
// headers and body must be those of the operation.
func checkDocument(request *http.Request, response Response) error {
	router, err := contract()
	if err != nil {
		return err
	}
	asked := request.Clone(request.Context())
	asked.URL = &url.URL{Path: DocumentedPath(request.URL.Path), RawQuery: request.URL.RawQuery}
	if request.Method == http.MethodHead {
		asked.Method = http.MethodGet
	}
	route, params, err := router.FindRoute(asked)
	if errors.Is(err, routers.ErrPathNotFound) || errors.Is(err, routers.ErrMethodNotAllowed) {
		return requireRefused(request, response)
	}
	if err != nil {
		return err
	}
	form := formOf(route, response)
	if _, valid := checked.Load(form); valid {
		return nil
	}
	err = openapi3filter.ValidateResponse(context.WithoutCancel(request.Context()), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 response.Code,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewBufferString(response.Raw)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			ExcludeResponseBody:   request.Method == http.MethodHead,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		},
	})
	if err == nil {
		checked.Store(form, true)
	}
	return err
}

// formOf returns the part of an answer that the document describes. It leaves out
// values that differ from one answer to the next.
func formOf(route *routers.Route, response Response) string {
	header := response.Header.Clone()
	for _, name := range []string{"X-Request-Id", "Date", "Content-Length"} {
		header.Del(name)
	}
	body := response.Raw
	if id := response.Header.Get("X-Request-Id"); id != "" {
		body = strings.ReplaceAll(body, id, "")
	}
	return fmt.Sprintln(route.Method, route.Path, response.Code, header, body)
}

// DocumentedPath returns the form of a path that the document has: of those that
// answer with a slash and without it gives one, and says that the other answers the
// same.
func DocumentedPath(path string) string {
	switch path {
	case "/api/organizations", "/api/users", "/api/audit", "/api/invitations":
		return path + "/"
	}
	return path
}

// requireRefused makes sure that what the document does not have is not served.
// The page's own files are in its prose only.
func requireRefused(request *http.Request, response Response) error {
	switch {
	case IsDocsPath(request.URL.Path), IsConsolePath(request.URL.Path):
		return nil
	case response.Code == http.StatusNotFound, response.Code == http.StatusMethodNotAllowed:
		return nil
	case request.Method == http.MethodOptions && response.Code == http.StatusNoContent: // CORS
		return nil
	}
	return fmt.Errorf("status %d for a path or method that it does not have", response.Code)
}

// IsDocsPath reports whether the path is the interactive page's, or lies below.
func IsDocsPath(path string) bool {
	return path == "/docs" || strings.HasPrefix(path, "/docs/")
}

// IsConsolePath reports whether the path is the console's, or lies below. The console is a
// client of the API, and not in its document.
func IsConsolePath(path string) bool {
	return path == "/console" || strings.HasPrefix(path, "/console/")
}

// checkHeaders looks for the headers that every answer has, and for those that
// none may have.
func checkHeaders(request *http.Request, response Response) error {
	header := response.Header
	cacheControl := "no-store"
	if IsDocsPath(request.URL.Path) && response.Code < http.StatusBadRequest {
		cacheControl = "no-cache"
	}
	if IsConsolePath(request.URL.Path) && response.Code < http.StatusBadRequest {
		cacheControl = "no-cache"
		if strings.Count(request.URL.Path, "/") > 2 { // below a version
			cacheControl = "public, max-age=31536000, immutable"
		}
	}
	problems := []error{
		requireHeader(header, "X-Content-Type-Options", "nosniff"),
		requireHeader(header, "Cache-Control", cacheControl),
	}
	if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		problems = append(problems, fmt.Errorf("Content-Security-Policy is %q", header.Get("Content-Security-Policy")))
	}
	if len(header["X-Request-Id"]) != 1 || header.Get("X-Request-Id") == "" {
		problems = append(problems, fmt.Errorf("X-Request-Id is %q", header["X-Request-Id"]))
	}
	// A deletion that goes on has no body, and an operation only where there is a last backup.
	isPlaced := response.Code == http.StatusCreated || response.Code == http.StatusAccepted && response.Raw != ""
	mayBePlaced := isPlaced || response.Code == http.StatusAccepted
	if _, found := header["Location"]; isPlaced && !found || found && !mayBePlaced {
		problems = append(problems, fmt.Errorf("the header Location is %q", header["Location"]))
	}
	for _, name := range []string{"Set-Cookie", "Server", "X-Powered-By"} {
		if values, found := header[name]; found {
			problems = append(problems, fmt.Errorf("there is a header %s: %q", name, values))
		}
	}
	switch response.Code {
	case http.StatusUnauthorized:
		problems = append(problems, requireHeader(header, "Www-Authenticate", "Bearer"))
	case http.StatusServiceUnavailable:
		problems = append(problems, requireHeader(header, "Retry-After", "1"))
	case http.StatusTooManyRequests:
		if seconds, err := strconv.Atoi(header.Get("Retry-After")); err != nil || seconds < 1 {
			problems = append(problems, fmt.Errorf("Retry-After is %q", header.Get("Retry-After")))
		}
	}
	return errors.Join(problems...)
}

func requireHeader(header http.Header, name, want string) error {
	if values := header[name]; len(values) != 1 || values[0] != want {
		return fmt.Errorf("%s is %q instead of %q", name, values, want)
	}
	return nil
}

// checkProblem holds an error to RFC 9457 and to itself, and makes sure that it
// says nothing of the inside. No success shows a hash.
func checkProblem(request *http.Request, response Response) error {
	switch {
	case response.Code < http.StatusMultipleChoices && !strings.HasPrefix(request.URL.Path, "/api/"):
		return nil
	case response.Code < http.StatusMultipleChoices:
		return requireNone(response.Raw, "hashed", "$2a$", "$2b$", Password, Secret)
	case response.Code == http.StatusNotModified:
		return nil
	}
	if err := checkDiscreet(response); err != nil || request.Method == http.MethodHead {
		return err
	}
	var body struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
		Errors              []any
	}
	if err := json.Unmarshal([]byte(response.Raw), &body); err != nil {
		return fmt.Errorf("status %d with a body that is no problem: %w", response.Code, err)
	}
	switch {
	case body.Status != response.Code || body.Title != http.StatusText(response.Code) || body.Type != "about:blank":
		return fmt.Errorf("a problem of another status than %d", response.Code)
	case body.RequestID != response.Header.Get("X-Request-Id"):
		return errors.New("a problem of another request")
	case (body.Errors != nil) != (response.Code == http.StatusUnprocessableEntity):
		return errors.New("errors go with 422, and with nothing else")
	}
	return requireHeader(response.Header, "Content-Type", "application/problem+json")
}

// checkDiscreet looks in an error for words that only the inside has.
func checkDiscreet(response Response) error {
	header := response.Header.Clone()
	header.Del("X-Request-Id")
	return requireNone(fmt.Sprint(response.Raw, header),
		"sql", "gorm", "pgx", "postgres", "select ", "insert ", "constraint", "relation", "column", "table", "database",
		"driver", "dial ", "tcp", "no such", ".go", "goroutine", "runtime", "panic", "unmarshal", "strconv", "struct",
		"int64", "uint", "interface", "models", "controllers", "nil", "0x", "bcrypt", "hash", "$2a$", "$2b$", "eyJ",
		"mtr_", "mtpw_", "mti_", "/tmp", "/root", "/home", "core.db", "spare", Password, Secret)
}

func requireNone(text string, words ...string) error {
	text = strings.ToLower(text)
	for _, word := range words {
		if strings.Contains(text, strings.ToLower(word)) {
			return fmt.Errorf("it shows %q", word)
		}
	}
	return nil
}
