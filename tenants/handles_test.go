package tenants_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/models"
)

// TestALeasedDatabaseIsNeverClosed has more tenants in use than may be open,
// while handles are retired, swept and refreshed as fast as can be.
func TestALeasedDatabaseIsNeverClosed(t *testing.T) {
	t.Parallel()
	const limit, fleetSize, borrowers, rounds = 4, 12, 16, 400
	f := newFleet(t, limit)
	stop := make(chan struct{})
	var meddling sync.WaitGroup
	for _, meddle := range []func(){
		func() { f.Retire(tenantID(0)) }, // as a deletion does: it may be found no more
		f.Sweep,
		func() { _ = f.Refresh(context.WithoutCancel(t.Context())) },
	} {
		meddling.Go(func() {
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-ticker.C:
					meddle()
				}
			}
		})
	}
	failures := make(chan error, borrowers*rounds)
	var borrowing sync.WaitGroup
	var served atomic.Int64
	for range borrowers {
		borrowing.Go(func() {
			for range rounds {
				id := tenantID(rand.IntN(fleetSize))
				tenant, release, err := f.Lend(t.Context(), id)
				if id == tenantID(0) && models.IsKind(err, models.KindTenantNotFound) {
					continue
				}
				if err != nil {
					failures <- fmt.Errorf("lend: %w", err)
					continue
				}
				for range 3 {
					if err := requireOpen(tenant); err != nil {
						failures <- fmt.Errorf("in use: %w", err)
					}
				}
				served.Add(1)
				release()
			}
		})
	}
	borrowing.Wait()
	close(stop)
	meddling.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.Positive(t, served.Load())
	require.LessOrEqual(t, f.most.Load(), int64(limit), "more databases were open than may be")
}

func TestADatabaseIsOpenedOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	f.opening = make(chan struct{})
	leased := make(chan func(), 32)
	for range 32 {
		go func() {
			_, release, err := f.Lend(t.Context(), "acme")
			if err != nil {
				release = nil
			}
			leased <- release
		}()
	}
	close(f.opening)
	for range 32 {
		release := <-leased
		require.NotNil(t, release)
		defer release()
	}
	require.EqualValues(t, 1, f.opened.Load())
}

// TestAllInUse: the one too many waits a little and is told that we are busy; a
// database that becomes idle makes room for the request that waits.
func TestAllInUse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	_, releaseFirst, err := f.Lend(t.Context(), "first")
	require.NoError(t, err)
	_, releaseSecond, err := f.Lend(t.Context(), "second")
	require.NoError(t, err)

	_, _, err = f.Lend(t.Context(), "third")
	require.True(t, models.IsKind(err, models.KindBusy), "%v", err)

	waiting := make(chan error, 1)
	go func() {
		_, release, err := f.Lend(t.Context(), "third")
		if err == nil {
			release()
		}
		waiting <- err
	}()
	releaseFirst()
	require.NoError(t, <-waiting)
	releaseSecond()
	require.LessOrEqual(t, f.most.Load(), int64(2))
}

// TestAnUnopenableDatabaseCostsNothing: it takes no room, is not remembered, and
// is tried again.
func TestAnUnopenableDatabaseCostsNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	f.failing.Store(true)
	for range 5 {
		_, _, err := f.Lend(t.Context(), "acme")
		require.ErrorIs(t, err, errBroken)
	}
	f.failing.Store(false)
	_, release, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)
	release()
}

// TestASlowOpeningHarmsNoOther, neither the tenants that are open nor those that
// are opened meanwhile; if a request gives up waiting, the next one gets it.
func TestASlowOpeningHarmsNoOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	f.opening = make(chan struct{}, 1)
	f.opening <- struct{}{}
	_, releaseOpen, err := f.Lend(t.Context(), "open")
	require.NoError(t, err)

	impatient, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, _, err := f.Lend(impatient, "slow")
		gaveUp <- err
	}()
	cancel()
	require.True(t, models.IsKind(<-gaveUp, models.KindTenantUnavailable))

	tenant, releaseAgain, err := f.Lend(t.Context(), "open")
	require.NoError(t, err)
	require.NoError(t, requireOpen(tenant))
	releaseAgain()
	releaseOpen()

	close(f.opening)
	_, releaseSlow, err := f.Lend(t.Context(), "slow")
	require.NoError(t, err)
	releaseSlow()
}

// TestRetiringWaitsForTheLastLease, and lends the next comer another handle.
func TestRetiringWaitsForTheLastLease(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	tenant, release, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)
	closed := f.Retire("acme")

	next, releaseNext, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)
	require.NotSame(t, tenant, next)
	releaseNext()
	select {
	case <-closed:
		require.Fail(t, "closed while it is lent")
	default:
		require.NoError(t, requireOpen(tenant))
	}
	release()
	<-closed
	require.Error(t, requireOpen(tenant))
}

// TestAnOlderRowNeverUndoesAChange: a row that was read before this process
// suspended the tenant arrives after, and must not let anybody in.
func TestAnOlderRowNeverUndoesAChange(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	_, release, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)
	release()

	var once sync.Once
	f.late = func() {
		once.Do(func() {
			f.set("acme", models.TenantSuspended)
			f.Changed("acme")
		})
	}
	require.NoError(t, f.Refresh(t.Context()))

	_, _, err = f.Lend(t.Context(), "acme")
	require.True(t, models.IsKind(err, models.KindTenantSuspended), "%v", err)
}

// TestARowThatIsGoneClosesTheDoor: a tenant that is no longer registered is not
// lent.
func TestARowThatIsGoneClosesTheDoor(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	_, release, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)
	release()

	f.set("acme", "")
	require.NoError(t, f.Refresh(t.Context()))

	_, _, err = f.Lend(t.Context(), "acme")
	require.True(t, models.IsKind(err, models.KindTenantNotFound), "%v", err)
}

func TestNothingIsLentAfterTheEnd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	tenant, release, err := f.Lend(t.Context(), "acme")
	require.NoError(t, err)

	ended := make(chan error, 1)
	go func() { ended <- f.Shut(t.Context()) }()
	require.Eventually(t, func() bool {
		_, again, err := f.Lend(t.Context(), "globex")
		if err == nil {
			again()
		}
		return models.IsKind(err, models.KindBusy)
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, requireOpen(tenant), "closed while it is lent")
	release()
	require.NoError(t, <-ended)
}

func tenantID(i int) string { return fmt.Sprintf("tenant-%d", i) }
