package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

const (
	// patience is how long any answer may take, and recovery how long it may be
	// until everything works again.
	patience = 10 * time.Second
	recovery = 5 * time.Second
	// slack is for a machine that is busy with other tests.
	slack = 2 * time.Second
	// rest is how long these clients leave the processor to others: they are at work
	// for many seconds, most of which are spent waiting for a fault to pass.
	rest = 5 * breath
)

// load is what clients do all the time, and what they were told.
type load struct {
	app    *testkit.App
	tokens []string

	stop   chan struct{}
	ending sync.Once
	all    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	next    int
	kept    [][2]string // tenant and e-mail of acknowledged registrations
	refused int
	wrong   []string // answers that there must not be
}

func newLoad(t *testing.T, app *testkit.App) *load {
	t.Helper()
	return newLoadFrom(t, app, 0)
}

// newLoadFrom is newLoad beside another load on the same databases: no two may register
// the same users, which are numbered.
func newLoadFrom(t *testing.T, app *testkit.App, number int) *load {
	t.Helper()
	l := &load{app: app, stop: make(chan struct{}), next: number}
	for _, tenant := range []string{"", "acme", "globex"} {
		l.tokens = append(l.tokens, app.Token(tenant, fmt.Sprintf("ada%d@example.com", number)))
	}
	for worker := range 4 {
		l.all.Go(func() { l.work(worker) })
	}
	return l
}

func (l *load) work(worker int) {
	for i := worker; ; i++ {
		select {
		case <-l.stop:
			return
		case <-time.After(rest):
		}
		tenant := []string{"acme", "globex", "acme", fmt.Sprintf("new-%d", l.number())}[i/2%4]
		email := fmt.Sprintf("user%d@example.com", l.number())
		request := testkit.Registration(tenant, email)
		if i%2 == 0 {
			request = testkit.Request{Method: http.MethodGet, Path: "/api/users/me", Token: l.tokens[i/2%3]}
		}
		begun := time.Now()
		response, err := l.app.Try(request)
		l.note(request, response, err, time.Since(begun))
	}
}

func (l *load) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

func (l *load) note(request testkit.Request, response testkit.Response, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.wrong = append(l.wrong, err.Error())
	case response.Code == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "" && took <= patience+slack:
		l.refused++
	case response.Code != http.StatusOK:
		l.wrong = append(l.wrong, fmt.Sprintf("%s %s after %s: %s", request.Method, request.Path, took, response.Raw))
	case request.Method == http.MethodPost:
		body, _ := request.Body.(testkit.JSON)
		l.kept = append(l.kept, [2]string{request.Tenant, fmt.Sprint(body["email"])})
	}
}

// await waits until so many more were counted.
func (l *load) await(t *testing.T, more int, count func() int) {
	t.Helper()
	look := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return count()
	}
	before := look()
	testkit.Await(t, 2*patience, func() error {
		if now := look(); now < before+more {
			return fmt.Errorf("%d instead of %d", now-before, more)
		}
		return nil
	})
}

func (l *load) refusals() int { return l.refused }

func (l *load) registrations() int { return len(l.kept) }

// requireKept ends the load and requires that nothing acknowledged is lost, and
// that nobody was told what they must not be.
func (l *load) requireKept(t *testing.T) {
	t.Helper()
	l.end()
	require.Empty(t, l.wrong)
	l.app.Settings.RequireTidy(t)
	for _, who := range l.kept {
		l.app.Register(who[0], who[1]).RequireProblem(l.app, 400, "email_taken", "Email already registered")
	}
	t.Logf("%d registered, %d refused", len(l.kept), l.refused)
}

// end ends the load.
func (l *load) end() {
	l.ending.Do(func() { close(l.stop) })
	l.all.Wait()
}

// requireRecovery requires that everything works soon: core, and each tenant.
func (l *load) requireRecovery(t *testing.T) {
	t.Helper()
	works := func(path, token string) {
		testkit.Await(t, recovery+slack, func() error {
			if answer := l.app.Get(path, token); answer.Code != http.StatusOK {
				return errors.New(answer.Raw)
			}
			return nil
		})
	}
	for _, token := range l.tokens {
		works("/api/users/me", token)
	}
	works("/ready", "")
}
