package retention_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/backups/retention"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]retention.Policy{
		"7d,5w,12m": {Days: 7, Weeks: 5, Months: 12},
		"12m , 1d":  {Days: 1, Months: 12},
		"1000w":     {Weeks: 1000},
	} {
		policy, err := retention.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, policy, text)
	}
	for text, problem := range map[string]string{
		"7": "must be numbers", "d": "must be numbers", "7d,": "must be numbers", "7y": "must be numbers", "-7d": "must be numbers",
		"7 d": "must be numbers", "0d": "between 1 and 1000", "1001m": "between 1 and 1000", "7d,7d": "twice", "7ä": "must be numbers",
	} {
		policy, err := retention.Parse(text)
		require.ErrorContains(t, err, problem, text)
		require.True(t, policy.IsZero(), text)
	}
}

// taken are backups of a hundred nights, the oldest first.
func taken(count int) []retention.Backup {
	all := make([]retention.Backup, count)
	for i := range all {
		all[i].TakenAt = time.Date(2026, time.January, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i)
	}
	return all
}

func days(all []retention.Backup, kept []bool) (found []string) {
	for i := range all {
		if kept[i] {
			found = append(found, all[i].TakenAt.Format(time.DateOnly))
		}
	}
	return found
}

func TestKeepsTheNewestOfEachPeriod(t *testing.T) {
	t.Parallel()
	all := taken(100) // to 10 April, a Friday
	policy := retention.Policy{Days: 2, Weeks: 3, Months: 4}
	want := []string{"2026-01-31", "2026-02-28", "2026-03-29", "2026-03-31", "2026-04-05", "2026-04-09", "2026-04-10"}

	require.Equal(t, want, days(all, policy.Keep(all)))
	require.Equal(t, want[5:], days(all, retention.Policy{Days: 2}.Keep(all)))
	require.Len(t, days(all, retention.Policy{}.Keep(all)), 100, "without a policy all are kept")
	require.Len(t, days(all[:3], retention.Policy{Days: 9}.Keep(all[:3])), 3)
	all[99].IsDamaged = true
	require.Equal(t, []string{"2026-04-08", "2026-04-09"}, days(all, retention.Policy{Days: 2}.Keep(all)),
		"a damaged one takes no day from a good one")
}

// Whatever the policy, the times and the proofs: the newest good, complete and proven
// backups stay, nothing is removed while all are damaged, and removing twice is
// removing once.
func TestKeepNeverRemovesTheLast(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 5000 {
		policy := retention.Policy{Days: random.IntN(4), Weeks: random.IntN(3), Months: random.IntN(3)}
		all := make([]retention.Backup, random.IntN(12))
		for i := range all {
			all[i] = retention.Backup{
				TakenAt:   time.Date(2026, 1, 1, random.IntN(24*60), 0, 0, 0, time.UTC),
				IsDamaged: random.IntN(3) == 0, IsComplete: random.IntN(2) == 0, Level: []int{0, 0, 2, 3}[random.IntN(4)],
			}
		}
		about := fmt.Sprint(round, policy, all)
		kept := policy.Keep(all)

		require.Len(t, kept, len(all), about)
		requireNewest(t, all, kept, func(b *retention.Backup) bool { return true }, about)
		requireNewest(t, all, kept, func(b *retention.Backup) bool { return b.IsComplete }, about)
		requireNewest(t, all, kept, func(b *retention.Backup) bool { return b.Level >= 2 }, about)
		requireNewest(t, all, kept, func(b *retention.Backup) bool { return b.Level >= 3 }, about)
		var left []retention.Backup
		for i := range all {
			if kept[i] {
				left = append(left, all[i])
			}
		}
		require.NotContains(t, policy.Keep(left), false, about)
	}
}

// requireNewest requires that of the good backups that are like that the newest is kept.
func requireNewest(t *testing.T, all []retention.Backup, kept []bool, is func(*retention.Backup) bool, about string) {
	t.Helper()
	var newest time.Time
	isKept, isThere := false, false
	for i := range all {
		if all[i].IsDamaged || !is(&all[i]) {
			continue
		}
		switch at := all[i].TakenAt; {
		case at.After(newest):
			newest, isKept, isThere = at, kept[i], true
		case at.Equal(newest):
			isKept = isKept || kept[i]
		}
	}
	require.True(t, isKept || !isThere, about)
}

// Whatever the backups of a deleted database are: they stay while one of them is young,
// they go together, and once gone they stay gone.
func TestKeepsDeletedUntilTheNewestIsOld(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	for round := range 5000 {
		keep := time.Duration(1+random.IntN(60)) * 24 * time.Hour
		all := make([]retention.Backup, random.IntN(6))
		isYoung := false
		for i := range all {
			age := time.Duration(random.IntN(90*24)) * time.Hour
			all[i] = retention.Backup{TakenAt: now.Add(-age), IsDamaged: random.IntN(2) == 0}
			isYoung = isYoung || age < keep
		}
		about := fmt.Sprint(round, keep, all)

		require.Equal(t, isYoung, retention.KeepsDeleted(all, keep, now), about)
		require.False(t, retention.KeepsDeleted(all, keep, now.Add(keep)), about)
		if !isYoung {
			require.False(t, retention.KeepsDeleted(all, keep, now.Add(time.Hour)), about)
		}
	}
}
