package tests_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/commands"
	"multitenant/tests/testkit"
)

// exitWithin is how soon the program must have ended after it was told to.
const exitWithin = 15 * time.Second

// program is the real one, built and started.
type program struct {
	*testkit.App

	command *exec.Cmd
	exited  chan error
}

// serving is the line that says where the program is reached.
func serving() *regexp.Regexp { return regexp.MustCompile(`msg=serving api=(http://\S+)`) }

// requests are the lines about requests.
func requests() *regexp.Regexp { return regexp.MustCompile(`(?m)^.* msg=request .*\n`) }

func launch(t *testing.T, binary, folder string, environment ...string) *program {
	t.Helper()
	p := &program{App: testkit.Attach(t, ""), exited: make(chan error, 1)}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), binary)
	p.command.Dir = folder
	p.command.Env = append([]string{"HTTP_ADDR=127.0.0.1:0", "BCRYPT_COST=4"}, environment...)
	p.command.Stdout, p.command.Stderr = p.Log, p.Log
	require.NoError(t, p.command.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.exited <- p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // it may have ended
		<-ended
	})
	return p
}

// run starts the program and returns once it says where it is reached.
func run(t *testing.T, binary, folder string, environment ...string) *program {
	t.Helper()
	p := launch(t, binary, folder, environment...)
	testkit.Await(t, 20*time.Second, func() error {
		found := serving().FindStringSubmatch(p.Log.String())
		if found == nil {
			return errors.New(p.Log.String())
		}
		p.URL = found[1]
		return nil
	})
	require.Equal(t, http.StatusOK, p.Get("/ready", "").Code)
	return p
}

// requireExit requires that the program ends in time, with that code.
func (p *program) requireExit(t *testing.T, code int) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(exitWithin):
		require.Fail(t, "the program does not end", p.Log.String())
	}
	require.Equal(t, code, p.command.ProcessState.ExitCode(), p.Log.String())
}

func (p *program) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(signal))
}

// buildProgram builds the program that main.go makes. The build cache keeps a program that
// "go run" has linked.
func buildProgram(tb testing.TB) (binary string) {
	tb.Helper()
	binary = filepath.Join(tb.TempDir(), "multitenant")
	built, err := exec.CommandContext(tb.Context(), "go", "run", "-ldflags=-s -w -X multitenant/version.number=v1.2.3", "-exec=cp", "..", binary).CombinedOutput()
	require.NoError(tb, err, string(built))
	return binary
}

func TestTheProgram(t *testing.T) {
	t.Parallel()
	binary := buildProgram(t)
	for name, test := range map[string]func(t *testing.T, binary string){
		"starts from nothing":          startsFromNothing,
		"finishes what is under way":   finishesWhatIsUnderWay,
		"resets no connection":         resetsNoConnection,
		"ends without slow readers":    endsWithoutSlowReaders,
		"ends at once when told twice": endsAtOnceWhenToldTwice,
		"reports all mistakes":         reportsAllMistakes,
		"needs a port":                 needsAPort,
		"serves what came early":       servesWhatCameEarly,
		"checks its health":            checksItsHealth,
		"says which it is":             saysWhichItIs,
		"serves metrics":               servesMetrics,
		"shares its folder":            sharesItsFolder,
		"obeys beside a server":        obeysBesideAServer,
		"stops between tenants":        stopsBetweenTenants,
		"backs up whole or not at all": backsUpWholeOrNotAtAll,
		"restores whole or not at all": restoresWholeOrNotAtAll,
		"comes back or not at all":     comesBackWholeOrNotAtAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, binary)
		})
	}
}

func startsFromNothing(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	p := run(t, binary, folder)
	said := strings.TrimSpace(requests().ReplaceAllString(p.Log.String(), ""))
	require.NotContains(t, said, "\n", "one line is enough")
	owner := p.Token("", "ada@example.com")
	p.Organization(owner, "acme")
	member := p.TokenOf("acme", "ada@example.com")

	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "data", entries[0].Name())
	require.NoError(t, filepath.WalkDir(filepath.Join(folder, "data"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a lock's file
		}
		want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[entry.IsDir()]
		require.Equal(t, want, found.Mode().Perm(), path)
		return err
	}))
	require.FileExists(t, filepath.Join(folder, "data", "multitenant_acme.db"))

	p.signal(t, syscall.SIGTERM)
	p.requireExit(t, 0)
	again := run(t, binary, folder)
	for _, token := range []string{owner, member} {
		require.Equal(t, http.StatusOK, again.Get("/api/users/me", token).Code)
	}
	require.NotContains(t, p.Log.String()+again.Log.String(), testkit.Password)
	require.NotContains(t, p.Log.String()+again.Log.String(), owner)
}

func reportsAllMistakes(t *testing.T, binary string) {
	t.Helper()
	for _, mistakes := range []map[string]string{
		{
			"DATABASE_URL": "mysql://ada:lovelace@localhost/core", "BCRYPT_COST": "99", "JWT_ALGORITHM": "none",
			"LOG_LEVEL": "loud", "JWT_SECRET_KEY": "too-short", "HTTP_ADDR": "nowhere", "TENANT_DATABASE_PREFIX": "Nope-",
			"DATABASE_MAX_CONNECTIONS": "many", "TENANT_AUTO_CREATE": "perhaps",
		},
		{"DATABASE_URL": "postgres://ada:lovelace@localhost/core", "JWT_SECRET_KEY": ""},
	} {
		folder := t.TempDir()
		var environment []string
		for name, value := range mistakes {
			environment = append(environment, name+"="+value)
		}
		p := launch(t, binary, folder, environment...)
		p.requireExit(t, 1)
		for name := range mistakes {
			if len(mistakes) > 2 || name == "JWT_SECRET_KEY" {
				require.Contains(t, p.Log.String(), name)
			}
		}
		require.NotContains(t, p.Log.String(), "lovelace")
		require.NotContains(t, p.Log.String(), "too-short")
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func needsAPort(t *testing.T, binary string) {
	t.Helper()
	taken, _ := takePort(t)
	for setting, whose := range map[string]string{"HTTP_ADDR": "", "METRICS_ADDR": "metrics: "} {
		folder := t.TempDir()
		p := launch(t, binary, folder, setting+"="+taken)

		p.requireExit(t, 1)
		require.Contains(t, p.Log.String(), whose+"listen tcp "+taken)
		require.Contains(t, p.Log.String(), "address already in use")
		require.NotContains(t, p.Log.String(), "goroutine", "a panic is no message")
		require.NotContains(t, p.Log.String(), "msg=serving")
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left, "the port comes first")
	}
}

// takePort listens on a port until free is called or the test ends.
func takePort(tb testing.TB) (address string, free func()) {
	tb.Helper()
	var listening net.ListenConfig
	listener, err := listening.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	free = func() { _ = listener.Close() }
	tb.Cleanup(free)
	return listener.Addr().String(), free
}

func TestATakenPortIsSaidBeforeCoreIsMade(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		taken, _ := takePort(t)
		for _, setting := range []string{"HTTP_ADDR", "METRICS_ADDR"} {
			environ := settings.Environ()
			environ[setting], environ["GOGC"] = taken, "100" // serve would set the whole test's
			var stderr testkit.Log
			code := commands.Run(t.Context(), &commands.Invocation{Environ: environ, Stdout: &stderr, Stderr: &stderr})

			require.Equal(t, commands.ExitFailed, code)
			require.Contains(t, stderr.String(), "address already in use")
		}
		if settings.Engine == testkit.SQLite {
			require.NoDirExists(t, settings.Folder())
			return
		}
		status := settings.Command(t, "migrate", "status").RequireCode(t, 0)
		require.Regexp(t, `^core +has none`, status.Stdout)
	})
}

// servesWhatCameEarly holds the core database while the program starts.
func servesWhatCameEarly(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	operate(t, binary, folder, "migrate").RequireCode(t, 0)
	core := hold(t, filepath.Join(folder, "data", "core.db"))
	address, free := takePort(t)
	free()
	p := launch(t, binary, folder, "HTTP_ADDR="+address)
	p.URL = "http://" + address
	var early *caller
	testkit.Await(t, 20*time.Second, func() (err error) {
		early, err = dial(t, p)
		return err
	})
	defer early.conn.Close()
	require.NotContains(t, p.Log.String(), "msg=serving")

	_, err := core.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	_, err = early.ask()
	require.NoError(t, err)
}

func sharesItsFolder(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	first, second := run(t, binary, folder), run(t, binary, folder)
	owner := first.Token("", "ada@example.com")

	answers := testkit.TryAtOnce(t, []*testkit.App{first.App, second.App}, repeat(crowd, func(i int) testkit.Request {
		if i < 4 {
			return testkit.Creation(owner, "acme")
		}
		return testkit.Registration("globex", emailOf(i))
	}))

	require.Equal(t, map[int]int{http.StatusOK: crowd - 3, http.StatusBadRequest: 3}, testkit.Count(answers), "%+v", answers)
	for _, p := range []*program{first, second} {
		require.Equal(t, http.StatusOK, p.Get("/api/users/me", p.TokenOf("acme", "ada@example.com")).Code)
		require.Equal(t, http.StatusOK, p.Get("/api/organizations/acme", owner).Code)
	}
	for _, p := range []*program{first, second} {
		p.signal(t, syscall.SIGTERM)
		p.requireExit(t, 0)
		require.NotContains(t, p.Log.String(), "level=ERROR")
	}
}
