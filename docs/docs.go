// Package docs holds what describes the API to readers and programs: the OpenAPI
// document, a Postman collection to use it and one to test it, and the page that
// shows them. All of it is embedded; nothing is fetched from elsewhere.
package docs

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var openAPIYAML []byte

// openAPI converts the document when it is first asked for, and keeps it as a
// string, which no caller can change for the others.
var openAPI = sync.OnceValues(func() (string, error) {
	converted, err := yaml.YAMLToJSON(openAPIYAML)
	if err != nil {
		return "", fmt.Errorf("convert openapi.yaml to JSON: %w", err)
	}
	return string(converted), nil
})

// OpenAPI returns the OpenAPI 3.1 document as JSON. It fails only where the
// embedded document is no YAML, and then always, which a test shows.
func OpenAPI() ([]byte, error) {
	document, err := openAPI()
	return []byte(document), err
}
