package tests_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"multitenant/config"
)

// checksItsHealth asks the program itself, at each address that it may listen on.
func checksItsHealth(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	check := func(address string, arguments ...string) (code int, said string) {
		command := exec.CommandContext(t.Context(), binary, append([]string{"healthcheck"}, arguments...)...)
		command.Dir, command.Env = folder, []string{"HTTP_ADDR=" + address}
		output, _ := command.CombinedOutput() // the code says how it ended
		return command.ProcessState.ExitCode(), string(output)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(run(t, binary, folder).URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1:", "localhost:", "0.0.0.0:", ":"} {
		for _, arguments := range [][]string{nil, {"--ready"}} {
			code, said := check(host+port, arguments...)
			require.Equal(t, 0, code, "%s %s", host, said)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, ".env.local"), []byte("HTTP_ADDR=127.0.0.1:"+port), 0o600))
	operate(t, binary, folder, "healthcheck").RequireCode(t, 0)

	unready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[r.URL.Path == "/health"])
	}))
	defer unready.Close()
	closed, free := takePort(t)
	free()
	for _, tc := range []struct {
		address, path, want string
		code                int
	}{
		{unready.Listener.Addr().String(), "", "/health answers 200\n", 0},
		{unready.Listener.Addr().String(), "--ready", "/ready answers 503\n", 1},
		{closed, "", "connection refused", 1},
		{"127.0.0.1:0", "", "the port in HTTP_ADDR is 0", 1},
		{"nowhere", "", "HTTP_ADDR: must be host:port", 1},
	} {
		code, said := check(tc.address, strings.Fields(tc.path)...)
		require.Equal(t, tc.code, code, "%s %s", tc.address, said)
		require.Contains(t, said, tc.want)
	}
}

// Compose hands each setting in .env.local on, and keeps the passwords of the database
// from the application. The files name the command, as no other program is in the image.
func TestTheContainerGetsItsSettings(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services struct {
			App struct {
				EnvFile []struct {
					Path     string
					Required bool
				} `yaml:"env_file"` //nolint:tagliatelle // Compose's name
				Environment map[string]string
				Healthcheck struct{ Test []string }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, "compose.yaml")), &compose))
	app := compose.Services.App

	require.Len(t, app.EnvFile, 1)
	require.Equal(t, "${SETTINGS_FILE:-.env.local}", app.EnvFile[0].Path, "one of another name can be used")
	require.False(t, app.EnvFile[0].Required)
	var fixed []string
	for _, name := range config.Names() {
		if _, set := app.Environment[name]; set {
			fixed = append(fixed, name)
		}
	}
	require.Equal(t, []string{"DATABASE_URL", "HTTP_ADDR", "JWT_SECRET_KEY"}, fixed, "the others come from the file")
	for _, name := range []string{"DATABASE_PASSWORD", "POSTGRES_PASSWORD"} {
		value, set := app.Environment[name]
		require.True(t, set && value == "", "%s is kept from the application", name)
	}
	require.Equal(t, []string{"CMD", "/multitenant", "healthcheck", "--ready"}, app.Healthcheck.Test)
	require.Regexp(t, `(?m)^HEALTHCHECK .*CMD \["/multitenant", "healthcheck"\]$`, readFile(t, "Dockerfile"))
}
