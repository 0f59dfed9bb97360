package postgres

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// mostTogether is how many queries go the way together at most.
	mostTogether = 32
	// lookupGrace is how long a query waits for others to go with.
	lookupGrace = 5 * time.Millisecond
	// lookupTimeout bounds that, since it ends with no request's own time.
	lookupTimeout = 10 * time.Second
)

// lookups are the queries for one row that one database is asked. A few are under
// way at once, each with a connection; who comes meanwhile waits for one of them
// to return, and then all who wait go together: one message there, one back.
// With short statements the way costs more than the answer, so that a busy tenant
// is served faster by two connections than by twenty, and leaves the rest to
// others. Where they take longer than a lookupGrace nobody waits for anybody: each goes
// alone.
type lookups struct {
	ctx    context.Context // the database's lifetime, not a request's
	atOnce int             // under way before others wait
	// answer has the answers scanned, as far as it comes.
	answer func(ctx context.Context, all []*lookup) error

	mu       sync.Mutex // guards what follows
	underWay int
	waiting  []*lookup
	hastener *time.Timer // sends those off who have waited for a lookupGrace; nil at first
}

// lookup is a query that waits to go with others.
type lookup struct {
	dest  []any
	query string
	args  []any

	isTaken atomic.Bool // by whoever scans its answer, or by whoever has given up
	done    chan error  // has room for one
}

func newLookups(ctx context.Context, answer func(ctx context.Context, all []*lookup) error) *lookups {
	return &lookups{ctx: ctx, answer: answer, atOnce: runtime.GOMAXPROCS(0)}
}

// enter returns nil to who may set out alone, and has to leave in the end.
func (q *lookups) enter(dest []any, query string, args []any) *lookup {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.underWay < q.atOnce {
		q.underWay++
		return nil
	}
	l := &lookup{dest: dest, query: query, args: args, done: make(chan error, 1)}
	q.waiting = append(q.waiting, l)
	switch {
	case len(q.waiting) > 1:
	case q.hastener == nil:
		q.hastener = time.AfterFunc(lookupGrace, q.hasten)
	default:
		q.hastener.Reset(lookupGrace)
	}
	return l
}

// leave makes way for those who wait: they go together if that was quick.
func (q *lookups) leave(took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.underWay--
	switch {
	case len(q.waiting) == 0:
	case took > lookupGrace:
		q.sendAlone()
	default:
		n := min(len(q.waiting), mostTogether)
		q.send(n)
	}
}

// hasten sends off those who have waited for a lookupGrace, beside all that is under
// way.
func (q *lookups) hasten() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sendAlone()
}

// sendAlone needs q.mu.
func (q *lookups) sendAlone() {
	for len(q.waiting) > 0 {
		q.send(1)
	}
}

// send sends off the first n of those who wait. It needs q.mu.
func (q *lookups) send(n int) {
	together := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
		q.hastener.Stop()
	} else {
		q.hastener.Reset(lookupGrace)
	}
	q.underWay++
	go q.run(together)
}

// run is on nobody's time: whoever gives up takes no answer from the others.
func (q *lookups) run(all []*lookup) {
	began := time.Now()
	defer func() { q.leave(time.Since(began)) }()
	ctx, cancel := context.WithTimeout(q.ctx, lookupTimeout)
	defer cancel()
	err := q.answer(ctx, all)
	for _, l := range all {
		if l.isTaken.CompareAndSwap(false, true) { // it was not come to
			l.done <- err
		}
	}
}

// scan waits for the answer and has it scanned. Only then is it settled that it is
// wanted: whoever gives up before must not have to wait for it.
func (l *lookup) scan(answer pgx.Rows) error {
	defer answer.Close()
	isThere := answer.Next()
	if !l.isTaken.CompareAndSwap(false, true) {
		answer.Close()
		return answer.Err()
	}
	if isThere {
		_ = answer.Scan(l.dest...) // it is in Err too
		answer.Close()
	}
	err := answer.Err()
	if err == nil && !isThere {
		err = pgx.ErrNoRows
	}
	l.done <- err
	return err
}

// await returns when dest has the row, or never will.
func (l *lookup) await(ctx context.Context) error {
	select {
	case err := <-l.done:
		return err
	case <-ctx.Done():
		if l.isTaken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-l.done
	}
}
