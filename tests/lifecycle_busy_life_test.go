package tests_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// busyLife is what a process was asked for and what it has acknowledged.
type busyLife struct {
	round   int
	process *testkit.Process

	answered chan struct{} // gets one for each acknowledgement

	mu      sync.Mutex // guards what follows
	made    []string
	deleted []string
	members []string // slugs of tenants somebody has registered in
}

func newBusyLife(round int, process *testkit.Process) *busyLife {
	return &busyLife{round: round, process: process, answered: make(chan struct{}, 10_000)}
}

func (l *busyLife) awaitAnswer(t *testing.T) {
	t.Helper()
	select {
	case <-l.answered:
	case <-time.After(time.Minute):
		require.Fail(t, "nothing is acknowledged any more", l.process.Log.String())
	}
}

// work makes, fills and deletes tenants until the process is gone.
func (l *busyLife) work(core string, worker int) {
	for i := 0; ; i++ {
		slug := fmt.Sprintf("r%d-w%d-%d", l.round, worker, i)
		requests := []struct {
			request testkit.Request
			note    *[]string
		}{
			{testkit.Creation(core, slug), &l.made},
			{testkit.Registration(slug+"-free", "hank@example.com"), &l.members},
			{testkit.Request{Method: http.MethodDelete, Path: "/api/organizations/" + slug, Token: core}, &l.deleted},
			{testkit.Creation(core, slug+"-kept"), &l.made},
		}
		for _, r := range requests {
			response, err := l.process.Try(r.request)
			if err != nil {
				return
			}
			if response.Code < http.StatusMultipleChoices {
				l.mu.Lock()
				*r.note = append(*r.note, slugOf(r.request))
				l.mu.Unlock()
				l.answered <- struct{}{}
			}
		}
	}
}

func (l *busyLife) requireKept(t *testing.T, app *testkit.App, core string) {
	t.Helper()
	deleted := make(map[string]bool)
	for _, slug := range l.deleted {
		deleted[slug] = true
		require.Equal(t, http.StatusNotFound, app.Get("/api/organizations/"+slug, core).Code, slug)
	}
	for _, slug := range l.made {
		// Where the deletion was under way, it may have happened or not.
		if found := app.Get("/api/organizations/"+slug, core).Code == http.StatusOK; found {
			requireWhole(t, app, slug)
		} else {
			require.NotContains(t, slug, "-kept", "an acknowledged organization is lost")
		}
	}
	for _, slug := range l.members {
		app.TokenOf(slug, "hank@example.com")
	}
	t.Logf("round %d: made %d, deleted %d, registered in %d", l.round, len(l.made), len(l.deleted), len(l.members))
}

func slugOf(request testkit.Request) string {
	if body, ok := request.Body.(testkit.JSON); ok && request.Tenant == "" {
		return fmt.Sprint(body["slug"])
	}
	if request.Tenant != "" {
		return request.Tenant
	}
	return request.Path[len("/api/organizations/"):]
}
