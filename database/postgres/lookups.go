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
	// mostTogether bounds the queries in one message.
	mostTogether = 32
	// lookupGrace is how long a query waits to be sent with others.
	lookupGrace = 5 * time.Millisecond
	// lookupTimeout bounds a message, which outlives the request that sent it.
	lookupTimeout = 10 * time.Second
)

// lookups sends queries for one row to one database. A few are under way at once,
// each on a connection of its own. A query that comes meanwhile waits until one of
// them returns; then all waiting queries go in one message (a pipeline). The round
// trip of a short query costs more than its answer, so two connections serve a busy
// tenant faster than twenty. When queries take longer than lookupGrace, none waits:
// each goes alone.
type lookups struct {
	ctx    context.Context // the database's lifetime, not a request's
	atOnce int             // how many are under way before others wait
	// answer sends the queries and scans their answers.
	answer func(ctx context.Context, all []*lookup) error

	mu       sync.Mutex // guards what follows
	underWay int
	waiting  []*lookup
	overdue  *time.Timer // sends queries that have waited for lookupGrace; nil at first
}

// lookup is a query that waits to go with others.
type lookup struct {
	dest  []any
	query string
	args  []any

	isTaken atomic.Bool // by the goroutine that scans its answer, or by a caller that gave up
	done    chan error  // has room for one
}

func newLookups(ctx context.Context, answer func(ctx context.Context, all []*lookup) error) *lookups {
	return &lookups{ctx: ctx, answer: answer, atOnce: runtime.GOMAXPROCS(0)}
}

// join returns nil when the caller may query at once; the caller must then call
// leave. Else it returns the lookup to await.
func (q *lookups) join(dest []any, query string, args []any) *lookup {
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
	case q.overdue == nil:
		q.overdue = time.AfterFunc(lookupGrace, q.sendOverdue)
	default:
		q.overdue.Reset(lookupGrace)
	}
	return l
}

// leave sends the waiting queries: together when the last one was quick.
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

// sendOverdue sends the queries that have waited for lookupGrace.
func (q *lookups) sendOverdue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sendAlone()
}

// sendAlone sends each waiting query by itself. The caller must hold q.mu.
func (q *lookups) sendAlone() {
	for len(q.waiting) > 0 {
		q.send(1)
	}
}

// send sends the first n waiting queries in one message. The caller must hold q.mu.
func (q *lookups) send(n int) {
	together := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
		q.overdue.Stop()
	} else {
		q.overdue.Reset(lookupGrace)
	}
	q.underWay++
	go q.run(together)
}

// run has a context of its own, so that a caller that gives up takes no answer from
// the others.
func (q *lookups) run(all []*lookup) {
	began := time.Now()
	defer func() { q.leave(time.Since(began)) }()
	ctx, cancel := context.WithTimeout(q.ctx, lookupTimeout)
	defer cancel()
	err := q.answer(ctx, all)
	for _, l := range all {
		if l.isTaken.CompareAndSwap(false, true) { // its answer was not read
			l.done <- err
		}
	}
}

// scan waits for the answer and then scans it, unless the caller gave up: a caller
// that gives up must not wait for the answer.
func (l *lookup) scan(answer pgx.Rows) error {
	defer answer.Close()
	isThere := answer.Next()
	if !l.isTaken.CompareAndSwap(false, true) {
		answer.Close()
		return answer.Err()
	}
	if isThere {
		_ = answer.Scan(l.dest...) // Err returns it as well
		answer.Close()
	}
	err := answer.Err()
	if err == nil && !isThere {
		err = pgx.ErrNoRows
	}
	l.done <- err
	return err
}

// await returns once dest has the row, or with an error.
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
