package tenants_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

// maxAge is how long a tenant may be served after another process has suspended it.
const maxAge = 2 * time.Second

// TestTheLastQuestionHasTheLastWord: a refresh that asked before another process suspended
// the tenant gets its answer after a refresh that asked later.
func TestTheLastQuestionHasTheLastWord(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	_, release, err := f.Lend(t.Context(), "globex")
	require.NoError(t, err)
	release()
	asked, arrive, slow := make(chan struct{}), make(chan struct{}), make(chan error)
	f.late = func() {
		close(asked)
		<-arrive
	}
	go func() { slow <- f.Refresh(t.Context()) }()
	<-asked
	f.late = nil
	f.set("globex", models.TenantSuspended)
	require.NoError(t, f.Refresh(t.Context()))
	close(arrive)
	require.NoError(t, <-slow)

	_, _, err = f.Lend(t.Context(), "globex")
	require.True(t, models.IsKind(err, models.KindTenantSuspended), "%v", err)
}

// TestARowIsAsOldAsItsQuestion, however long the answer took: maxAge later the registry is
// read again.
func TestARowIsAsOldAsItsQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		f.late = func() {
			f.late = nil
			<-time.After(maxAge - time.Millisecond)
		}
		_, release, err := f.Lend(t.Context(), "acme")
		require.NoError(t, err)
		release()
		f.set("acme", models.TenantSuspended)
		<-time.After(time.Millisecond)

		_, _, err = f.Lend(t.Context(), "acme")
		require.True(t, models.IsKind(err, models.KindTenantSuspended), "%v", err)
	})
}

// TestAnOldRowAdmitsNobody while the registry is silent, not even a request that came
// while the row was fresh and has waited for the opening since.
func TestAnOldRowAdmitsNobody(t *testing.T) {
	t.Parallel()
	for name, opening := range map[string]time.Duration{"open": 0, "being opened": maxAge} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, 1)
				f.late = func() { f.silent.Store(true) } // after its first answer
				if opening > 0 {
					f.opening = make(chan struct{})
					time.AfterFunc(opening, func() { close(f.opening) })
				} else {
					_, release, err := f.Lend(t.Context(), "acme")
					require.NoError(t, err)
					release()
					<-time.After(maxAge)
				}
				waited := time.Now()
				_, _, err := f.Lend(t.Context(), "acme")

				require.True(t, models.IsKind(err, models.KindCoreUnavailable), "%v", err)
				require.Equal(t, maxAge, time.Since(waited)-opening, "of the look")
			})
		})
	}
}

// TestAChangeOfOursIsSeenAtOnce, also by a request that meets a handle whose row was asked
// for before the change and arrives after it.
func TestAChangeOfOursIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1)
		f.opening = make(chan struct{})
		f.late = func() {
			f.late = nil
			f.set("acme", models.TenantSuspended)
			f.Changed("acme")
		}
		first := make(chan error)
		go func() {
			_, release, err := f.Lend(t.Context(), "acme")
			if err == nil {
				release()
			}
			first <- err
		}()
		<-time.After(time.Millisecond)
		later := make(chan error)
		go func() {
			_, _, err := f.Lend(t.Context(), "acme")
			later <- err
		}()
		close(f.opening)
		<-first
		require.True(t, models.IsKind(<-later, models.KindTenantSuspended))
	})
}
