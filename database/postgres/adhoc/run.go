// Package adhoc runs the statements of operators on a session of PostgreSQL, and knows how
// psql is started.
package adhoc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"multitenant/database"
)

const (
	// grace is how much later than the server the client gives a statement up.
	grace = 5 * time.Second
	// inTransaction is what the server calls a session that is in a transaction.
	inTransaction = 'T'
	readOnlyState = "25006"
	// severalIn is the function of the server that refuses several statements in one text:
	// its message may be in any language.
	severalIn = "exec_parse_message"
)

// Run runs the statement in a session that nobody uses afterwards: the end of the session
// takes back what is not committed. The statement goes alone by the extended protocol, in
// which the server takes one statement only, so none can end the transaction before it. A
// transaction that has answered a query stays read-only.
func Run(ctx context.Context, conn *pgconn.PgConn, s *database.Statement) (isCut bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout+grace)
	defer cancel()
	mode := "READ ONLY"
	if s.Write {
		mode = "READ WRITE"
	}
	begin := fmt.Sprintf("SET statement_timeout = %d; BEGIN ISOLATION LEVEL READ COMMITTED %s; SELECT 1", s.Timeout.Milliseconds(), mode)
	if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
		return false, err
	}
	r := reader{statement: s, cancel: cancel, result: conn.ExecParams(ctx, s.SQL, nil, nil, nil, nil)}
	isCut, err = r.read()
	switch {
	case err != nil:
		return false, explain(err)
	case !s.Write:
		return isCut, nil
	case conn.TxStatus() != inTransaction:
		return false, errors.New("the statement has ended its transaction")
	}
	if err := s.BeforeCommit(ctx); err != nil {
		return false, err
	}
	committing, stop := context.WithTimeout(context.WithoutCancel(ctx), s.Timeout+grace)
	defer stop()
	_, err = conn.Exec(committing, "COMMIT").ReadAll()
	return isCut, explain(err)
}

// reader hands the rows of a result on.
type reader struct {
	statement *database.Statement
	result    *pgconn.ResultReader
	cancel    context.CancelFunc // ends the statement
	rows      int
}

func (r *reader) read() (isCut bool, err error) {
	var names []string
	for r.result.NextRow() {
		if r.rows++; r.rows > r.statement.MaxRows {
			if r.statement.Write {
				continue // ending it would take the changes back
			}
			r.cancel()
			_, _ = r.result.Close() // it says that it was cancelled
			return true, nil
		}
		if r.rows == 1 {
			names = r.names()
			err = r.statement.Columns(names)
		}
		if err == nil {
			err = r.statement.Row(r.cells())
		}
		if err != nil {
			r.cancel()
			_, _ = r.result.Close() // as above
			return false, err
		}
	}
	names = r.names()
	tag, err := r.result.Close()
	if err != nil || r.rows > 0 {
		return r.rows > r.statement.MaxRows, err
	}
	if len(names) > 0 {
		return false, r.statement.Columns(names)
	}
	if err := r.statement.Columns([]string{database.RowsAffected}); err != nil {
		return false, err
	}
	return false, r.statement.Row([]database.Cell{{Text: strconv.FormatInt(tag.RowsAffected(), 10), IsJSON: true}})
}

func (r *reader) names() []string {
	fields := r.result.FieldDescriptions()
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}

// cells copies the row, whose memory is used again.
func (r *reader) cells() []database.Cell {
	values := r.result.Values()
	cells := make([]database.Cell, len(values))
	for i, value := range values {
		cells[i] = newCell(value, r.result.FieldDescriptions()[i].DataTypeOID)
	}
	return cells
}

func newCell(value []byte, oid uint32) database.Cell {
	if value == nil {
		return database.Cell{IsNull: true}
	}
	cell := database.Cell{Text: string(value)}
	switch {
	case oid == pgtype.BoolOID:
		cell.Text, cell.IsJSON = "false", true
		if string(value) == "t" {
			cell.Text = "true"
		}
	case slices.Contains(jsonTypes(), oid): // not NaN, for example
		cell.IsJSON = json.Valid(value)
	}
	return cell
}

// jsonTypes are the types whose values PostgreSQL prints as JSON does.
func jsonTypes() []uint32 {
	return []uint32{
		pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID,
		pgtype.JSONOID, pgtype.JSONBOID,
	}
}

// explain adds the server's detail, hint and place to its message.
func explain(err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	if server.Code == "42601" && server.Routine == severalIn {
		return database.ErrNotAlone
	}
	if server.Code == readOnlyState {
		err = fmt.Errorf("%w: %w", database.ErrNeedsWrite, err)
	}
	for _, more := range []struct{ name, text string }{
		{"detail", server.Detail}, {"hint", server.Hint}, {"where", server.Where},
	} {
		if more.text != "" {
			err = fmt.Errorf("%w; %s: %s", err, more.name, more.text)
		}
	}
	if server.Position > 0 {
		err = fmt.Errorf("%w; at character %d", err, server.Position)
	}
	return err
}
