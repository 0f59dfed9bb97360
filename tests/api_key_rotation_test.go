package tests_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// TestTheKeyIsChangedUnderLoad, one server at a time and in three steps, while
// clients log in, refresh and ask all the time: no request is refused.
func TestTheKeyIsChangedUnderLoad(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		const before, after = "the key before: at least 32 bytes", "the key after: at least 32 bytes!"
		f := &frontDoor{}
		settings.Now, settings.Keys = f.clock.now, []string{before}
		f.servers = []*testkit.App{testkit.Start(t, settings), testkit.Start(t, settings)}
		clients := startClients(t, f)
		rollOut := func(keys ...string) {
			for i := range f.servers {
				settings.Keys = keys
				f.replace(i, testkit.Start(t, settings))
				awaitRounds(t, clients, 10)
			}
		}
		awaitRounds(t, clients, 10)
		require.Len(t, f.keysUsed(), 1)

		rollOut(before, after)
		require.Len(t, f.keysUsed(), 1, "it is known everywhere before anybody signs with it")
		rollOut(after, before)
		f.hold(func() { f.clock.advance(31 * time.Minute) }) // the last token of the key before expires
		awaitRounds(t, clients, 10)
		rollOut(after)

		require.Len(t, f.keysUsed(), 2)
		clients.stop()
		t.Logf("%d requests, %d refused", clients.asked(), clients.refused.Load())
		require.Zero(t, clients.refused.Load())
	})
}

// frontDoor passes requests on to servers in turn, and takes one out only when it
// has answered, as a load balancer does.
type frontDoor struct {
	mu      sync.RWMutex // guards servers and the clock; held for reading while a request is under way
	servers []*testkit.App
	clock   clock

	keys sync.Map // the ids of the keys of tokens that were good
}

func (f *frontDoor) ask(n int, do func(app *testkit.App) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return do(f.servers[n%len(f.servers)])
}

func (f *frontDoor) hold(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *frontDoor) replace(i int, next *testkit.App) {
	last := f.servers[i]
	f.hold(func() { f.servers[i] = next })
	last.Close()
}

func (f *frontDoor) keysUsed() []string {
	used := map[string]bool{}
	f.keys.Range(func(kid, _ any) bool {
		used[fmt.Sprint(kid)] = true
		return true
	})
	return slices.Sorted(maps.Keys(used))
}

// clients ask without a pause until they are stopped.
type clients struct {
	stop    func()
	rounds  []atomic.Int64
	refused atomic.Int64
}

func (all *clients) asked() (n int64) {
	for i := range all.rounds {
		n += all.rounds[i].Load()
	}
	return n
}

func startClients(t *testing.T, f *frontDoor) *clients {
	t.Helper()
	const n = 6
	all := &clients{rounds: make([]atomic.Int64, n)}
	stopped := make(chan struct{})
	var working sync.WaitGroup
	all.stop = sync.OnceFunc(func() {
		close(stopped)
		working.Wait()
	})
	t.Cleanup(all.stop)
	for i := range n {
		client := &client{door: f, tenant: []string{"", "acme"}[i%2], email: fmt.Sprintf("ada%d@example.com", i)}
		registered := f.servers[0].Register(client.tenant, client.email)
		require.Equal(t, http.StatusOK, registered.Code, registered.Raw)
		working.Go(func() {
			for round := 0; !isClosed(stopped); round++ {
				err := f.ask(round/3+i, func(app *testkit.App) error { return client.act(app, round) })
				if err != nil && all.refused.Add(1) == 1 {
					t.Errorf("the first that was refused: %v", err)
				}
				all.rounds[i].Add(1)
			}
		})
	}
	return all
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// awaitRounds waits until each client has had as many answers more.
func awaitRounds(t *testing.T, all *clients, more int64) {
	t.Helper()
	want := make([]int64, len(all.rounds))
	for i := range all.rounds {
		want[i] = all.rounds[i].Load() + more
	}
	testkit.Await(t, time.Minute, func() error {
		for i := range all.rounds {
			if all.rounds[i].Load() < want[i] {
				return fmt.Errorf("client %d stands still", i)
			}
		}
		return nil
	})
}

// client is somebody's program: it uses an access token until it expires.
type client struct {
	door          *frontDoor
	tenant, email string
	tokens        tokens
	expires       time.Time
}

func (c *client) act(app *testkit.App, round int) error {
	switch {
	case round%30 == 0:
		return c.take(app, testkit.Request{
			Method: http.MethodPost, Path: "/api/auth/login", Tenant: c.tenant,
			Body: testkit.JSON{"email": c.email, "password": testkit.Password},
		})
	case round%7 == 0 || c.door.clock.now().After(c.expires):
		return c.take(app, testkit.Refreshing(c.tokens.refresh))
	}
	answer, err := app.Try(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: c.tokens.access})
	if err == nil && answer.Code != http.StatusOK {
		err = fmt.Errorf("round %d: %d %s", round, answer.Code, answer.Raw)
	}
	if err != nil {
		return err
	}
	return c.note()
}

// take asks for tokens, and keeps them.
func (c *client) take(app *testkit.App, r testkit.Request) error {
	answer, err := app.Try(r)
	if err != nil {
		return err
	}
	if answer.Code != http.StatusOK {
		return fmt.Errorf("%s: %d %s", r.Path, answer.Code, answer.Raw)
	}
	var body struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
	c.expires = c.door.clock.now()
	if err := json.Unmarshal([]byte(answer.Raw), &body); err != nil {
		return err
	}
	c.expires = c.expires.Add(time.Duration(body.ExpiresIn-1) * time.Second)
	c.tokens = tokens{access: body.AccessToken, refresh: body.RefreshToken}
	return nil
}

// note remembers the id of the key that a good token was signed with.
func (c *client) note() error {
	first, _, _ := strings.Cut(c.tokens.access, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return err
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(raw, &header); err != nil {
		return err
	}
	c.door.keys.Store(header.Kid, true)
	return nil
}
