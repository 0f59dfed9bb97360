package copies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database"
)

// loadStatements begin the loading of a copy, in a transaction.
const loadStatements = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
	SET LOCAL lock_timeout = '30s'; SET LOCAL row_security = off`

// Load fills the database that conn is connected to with a copy, by COPY, in one
// transaction. What feed has filled is kept only if it returns nil.
func Load(ctx context.Context, conn *pgx.Conn, feed func(database.Fill) error) error {
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	err := LoadInside(ctx, conn, feed)
	if conn.IsClosed() {
		return err
	}
	end := "COMMIT"
	if err != nil {
		end = "ROLLBACK"
	}
	_, ended := conn.Exec(context.WithoutCancel(ctx), end)
	return errors.Join(err, ended)
}

// LoadInside is Load inside a transaction of the caller, who must take all of it back
// after an error.
func LoadInside(ctx context.Context, conn *pgx.Conn, feed func(database.Fill) error) error {
	l := &loader{ctx: ctx, conn: conn}
	if err := l.exec(loadStatements); err != nil {
		return err
	}
	if err := feed(l); err != nil {
		return err
	}
	return l.finish()
}

// loader loads one copy.
type loader struct {
	ctx     context.Context // of Load; the methods of a Fill are given none
	conn    *pgx.Conn
	content *database.Content
	again   []string // the statements that put the guards back
}

// exec runs statements, separated by semicolons.
func (l *loader) exec(statements string) error {
	return l.conn.PgConn().Exec(l.ctx, statements).Close()
}

// Describe requires that the database has all that the copy describes and nothing more,
// lifts its guards and empties its tables, which migrations may have filled.
func (l *loader) Describe(content *database.Content) error {
	isOfAny := content.Engine == database.AnyEngine
	if content.Engine != Engine && !isOfAny {
		return fmt.Errorf("%w: of %s", database.ErrOtherEngine, content.Engine)
	}
	l.content = content
	here, err := l.listParts()
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	if err := compareParts(partsOf(content), here, isOfAny); err != nil {
		return err
	}
	guards, err := collect(l.ctx, l.conn, pgx.RowToStructByPos[guard], guardsQuery)
	if err != nil {
		return fmt.Errorf("list keys and triggers: %w", err)
	}
	statements := make([]string, 0, len(guards)+1)
	for _, g := range guards {
		statements = append(statements, g.Lift)
		l.again = append(l.again, g.Again)
	}
	tables := make([]string, len(content.Tables))
	for i := range content.Tables {
		tables[i] = pgx.Identifier{"public", content.Tables[i].Name}.Sanitize()
	}
	if len(tables) > 0 {
		statements = append(statements, "TRUNCATE "+strings.Join(tables, ", "))
	}
	if err := l.exec(strings.Join(statements, "; ")); err != nil {
		return fmt.Errorf("empty tables: %w", err)
	}
	return nil
}

// guard is a foreign key or a trigger.
type guard struct{ Lift, Again string }

// listParts names the columns and sequences that the database has.
func (l *loader) listParts() ([]string, error) {
	return collect(l.ctx, l.conn, pgx.RowTo[string], partsQuery)
}

// partsOf names the columns and sequences that a copy has, as partsQuery does.
func partsOf(content *database.Content) []string {
	var parts []string
	for i := range content.Tables {
		for _, column := range content.Tables[i].Columns {
			parts = append(parts, "column "+content.Tables[i].Name+"."+column.Name)
		}
	}
	if content.Engine == database.AnyEngine {
		return parts // not each engine has sequences
	}
	for _, sequence := range content.Sequences {
		parts = append(parts, "sequence "+sequence.Name)
	}
	return parts
}

// compareParts requires that the copy has the parts that are here. One of any engine may
// lack some.
func compareParts(copied, here []string, mayLack bool) error {
	for _, part := range copied {
		if !slices.Contains(here, part) {
			return fmt.Errorf("%w: no migration makes its %s", database.ErrUnloadable, part)
		}
	}
	for _, part := range here {
		if !mayLack && !slices.Contains(copied, part) {
			return fmt.Errorf("%w: it has no %s", database.ErrUnloadable, part)
		}
	}
	return nil
}

// Table loads the rows of a table.
func (l *loader) Table(name string, rows io.Reader) (int64, error) {
	for i := range l.tables() {
		if table := &l.content.Tables[i]; table.Name == name {
			tag, err := l.conn.PgConn().CopyFrom(l.ctx, rows, copyStatement(table, "FROM STDIN"))
			return tag.RowsAffected(), unloadable("load table "+name, err)
		}
	}
	return 0, fmt.Errorf("%w: it does not describe its table %s", database.ErrUnloadable, name)
}

func (l *loader) tables() []database.ContentTable {
	if l.content == nil {
		return nil
	}
	return l.content.Tables
}

// File refuses: a copy of this engine has tables.
func (*loader) File(io.Reader) error {
	return fmt.Errorf("%w: it has a file", database.ErrUnloadable)
}

// finish sets the sequences, which would give out ids of the loaded rows again, and puts
// the guards back, which validates the foreign keys.
func (l *loader) finish() error {
	if l.content == nil {
		return fmt.Errorf("%w: nothing describes it", database.ErrUnloadable)
	}
	for _, sequence := range l.content.Sequences {
		_, err := l.conn.Exec(l.ctx, "SELECT setval(s, $2, $3) FROM to_regclass(format('public.%I', $1::text)) AS t(s) WHERE s IS NOT NULL",
			sequence.Name, sequence.LastValue, sequence.IsCalled)
		if err != nil {
			return unloadable("set sequence "+sequence.Name, err)
		}
	}
	if l.content.Engine == database.AnyEngine {
		if err := l.moveSequences(); err != nil {
			return fmt.Errorf("set sequences: %w", err)
		}
	}
	return unloadable("validate keys", l.exec(strings.Join(l.again, "; ")))
}

// moveSequences moves each sequence past the ids of its table.
func (l *loader) moveSequences() error {
	statements, err := collect(l.ctx, l.conn, pgx.RowTo[string], ownedQuery)
	if err != nil {
		return err
	}
	return l.exec(strings.Join(statements, "; "))
}

// unloadable says that the server refuses rows of a copy. It repeats no value of a row.
func unloadable(act string, err error) error {
	if err == nil {
		return nil
	}
	server, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && strings.HasPrefix(server.Code, "22"): // data exceptions quote the value
		return fmt.Errorf("%w: %s: a value is not valid (SQLSTATE %s)", database.ErrUnloadable, act, server.Code)
	case ok && strings.HasPrefix(server.Code, "23"): // a constraint is violated
		return fmt.Errorf("%w: %s: %s (SQLSTATE %s)", database.ErrUnloadable, act, server.Message, server.Code)
	}
	return fmt.Errorf("%s: %w", act, err)
}
