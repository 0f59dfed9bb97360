// Package retention decides which backups of a database are kept. It knows no store.
package retention

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxCount bounds the number of days, weeks or months.
const maxCount = 1000

// Policy says for how many days, weeks and months a backup is kept, the newest of each.
// Only days, weeks and months with a backup count: where none is made, none is removed.
type Policy struct{ Days, Weeks, Months int }

var errPolicy = errors.New("must be numbers of days, weeks and months between commas, such as 7d,5w,12m")

// Parse reads a Policy from a text such as 7d,5w,12m. Each unit may be there once.
func Parse(text string) (p Policy, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			return Policy{}, errPolicy
		}
		number, unit := part[:len(part)-1], part[len(part)-1]
		count := map[byte]*int{'d': &p.Days, 'w': &p.Weeks, 'm': &p.Months}[unit]
		value, err := strconv.ParseUint(number, 10, 32)
		switch {
		case count == nil || err != nil:
			return Policy{}, errPolicy
		case value == 0 || value > maxCount:
			return Policy{}, fmt.Errorf("has a number that is not between 1 and %d", maxCount)
		case *count != 0:
			return Policy{}, errors.New("has a unit twice")
		}
		*count = int(value)
	}
	return p, nil
}

// IsZero reports whether there is no policy, and all backups are kept.
func (p Policy) IsZero() bool { return p == Policy{} }

// Backup is what a Policy has to know of a backup.
type Backup struct {
	TakenAt    time.Time
	IsDamaged  bool // it is known that it cannot be restored
	IsComplete bool // it is known that it lacks nothing
	Level      int  // the highest to which it has been proven; 0 for none
}

// Keep reports for each of the backups of one database whether it is kept: the newest
// of each day, week and month of the policy, and, whatever the policy says, the newest
// that is not damaged, the newest that is complete, and the newest of each level of
// proof. While all are damaged all are kept.
func (p Policy) Keep(backups []Backup) []bool {
	kept := make([]bool, len(backups))
	order := newestFirst(backups)
	if len(order) == 0 || p.IsZero() {
		for i := range kept {
			kept[i] = true
		}
		return kept
	}
	for _, i := range order {
		if backups[i].IsComplete {
			kept[i] = true
			break
		}
	}
	level := 0
	for _, i := range order { // a newer one of a higher level stands for lower ones
		if backups[i].Level > level {
			level, kept[i] = backups[i].Level, true
		}
	}
	periods := []struct {
		count int
		of    func(time.Time) string
	}{
		{p.Days, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{p.Weeks, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprint(year, week) }},
		{p.Months, func(t time.Time) string { return t.Format("2006-01") }},
	}
	for _, period := range periods {
		last := ""
		for _, i := range order {
			now := period.of(backups[i].TakenAt.UTC())
			if now == last {
				continue
			}
			if period.count--; period.count < 0 {
				break
			}
			last, kept[i] = now, true
		}
	}
	return kept
}

// KeepsDeleted reports whether the backups of a database that is gone are still kept: until
// that time has passed since the newest was taken, damaged or not. Then all go.
func KeepsDeleted(backups []Backup, keep time.Duration, now time.Time) bool {
	return slices.ContainsFunc(backups, func(b Backup) bool { return b.TakenAt.Add(keep).After(now) })
}

// newestFirst returns the places of the backups that are not damaged. Of two with the
// same time the later place comes first.
func newestFirst(backups []Backup) []int {
	var order []int
	for i, backup := range slices.Backward(backups) {
		if !backup.IsDamaged {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return backups[b].TakenAt.Compare(backups[a].TakenAt) })
	return order
}
