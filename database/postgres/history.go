package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// timelineDigits is how many hexadecimal digits of the name of a WAL file are the timeline.
const timelineDigits = 8

// errStale says that a server takes writes although another was promoted after it.
var errStale = errors.New("another server was promoted after this one")

// history is where the servers of a URL have come to. Each promotion begins a timeline
// with a higher number. An old primary that still takes writes has a lower one: what is
// written there is lost. A process that has seen the later one does not go back.
type history struct {
	mu       sync.Mutex // guards what follows
	system   string     // the cluster: its standbys have the same, an upgraded one has another
	timeline uint64
	era      int64 // counts the changes of both
}

// advance returns the era of a session. It is new when the session is the first of a
// later timeline or of another cluster.
func (h *history) advance(system string, timeline uint64) (era int64, isNew bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if system == h.system && timeline < h.timeline {
		return 0, false, fmt.Errorf("%w: %w", errNotPrimary, errStale)
	}
	isNew = system != h.system || timeline > h.timeline
	if isNew {
		h.system, h.timeline = system, timeline
		h.era++
	}
	return h.era, isNew, nil
}

// admit refuses a new session on a stale primary. Where the session is the first after a
// promotion, the connections from before it are closed.
func (h *hosts) admit(ctx context.Context, server *pgconn.PgConn) error {
	const where = "SELECT system_identifier, pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) FROM pg_catalog.pg_control_system()"
	results, err := server.Exec(ctx, where).ReadAll()
	if err != nil && (ctx.Err() != nil || server.IsClosed()) {
		return err
	}
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0][1]) < timelineDigits {
		return nil //nolint:nilerr // a standby, or a service that does not tell
	}
	row := results[0].Rows[0]
	timeline, err := strconv.ParseUint(string(row[1][:timelineDigits]), 16, 32)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	era, isNew, err := h.history.advance(string(row[0]), timeline)
	if err != nil {
		return err
	}
	if mine, ok := socketOf(server.Conn()); ok {
		mine.era.Store(era)
	}
	if isNew {
		h.peers.closeBefore(era)
	}
	return nil
}
