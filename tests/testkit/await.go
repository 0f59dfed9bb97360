package testkit

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pollEvery is how often what is waited for is looked at.
const pollEvery = 10 * time.Millisecond

// Await calls check until it returns nil, and fails the test with its last
// error when that takes longer than limit.
func Await(tb testing.TB, limit time.Duration, check func() error) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.NoError(tb, err, "after %s", limit)
		}
		<-ticker.C
	}
}

// AtOnce calls do n times, all at the same time, and returns what it returned.
func AtOnce[T any](n int, do func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			results[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return results
}

// TryAtOnce sends the requests all at the same time, to the applications in
// turn, and returns the answers in their order.
func TryAtOnce(tb testing.TB, apps []*App, requests []Request) []Response {
	tb.Helper()
	responses := make([]Response, len(requests))
	errs := AtOnce(len(requests), func(i int) (err error) {
		responses[i], err = apps[i%len(apps)].Try(requests[i])
		return err
	})
	require.NoError(tb, errors.Join(errs...))
	return responses
}

// TryAtOnceBy sends the requests, as many at a time as there are workers, and
// returns the answers in their order.
func TryAtOnceBy(tb testing.TB, workers int, app *App, requests []Request) []Response {
	tb.Helper()
	responses := make([]Response, len(requests))
	var next atomic.Int64
	errs := AtOnce(workers, func(int) error {
		for i := next.Add(1) - 1; i < int64(len(requests)); i = next.Add(1) - 1 {
			var err error
			if responses[i], err = app.Try(requests[i]); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(tb, errors.Join(errs...))
	return responses
}

// Count counts the answers by their status.
func Count(responses []Response) map[int]int {
	counts := make(map[int]int)
	for _, response := range responses {
		counts[response.Code]++
	}
	return counts
}
