package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// slowStatement is the time after which a statement is worth a line in the log.
const slowStatement = time.Second

// pool bounds what database/sql keeps open for one database.
type pool struct {
	connections int
	idle        time.Duration // a connection unused for this long is closed
}

// openGORM connects once, so that whatever is wrong is said with the caller's
// own context, and puts GORM on top.
func openGORM(ctx context.Context, c *connector, p pool, dialect func(*sql.DB) gorm.Dialector, log *slog.Logger) (*gorm.DB, error) {
	handles := sql.OpenDB(c)
	handles.SetMaxOpenConns(p.connections)
	handles.SetMaxIdleConns(p.connections)
	handles.SetConnMaxIdleTime(p.idle)
	if err := handles.PingContext(ctx); err != nil {
		// A server that does not answer would not say good-bye either.
		c.hasty = true
		return nil, errors.Join(err, handles.Close())
	}
	db, err := gorm.Open(dialect(handles), &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		QueryFields:            true,
		DisableAutomaticPing:   true,
		// PostgreSQL keeps microseconds: a record just written must equal the one read.
		NowFunc: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		Logger:  newStatementLog(log),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), handles.Close())
	}
	return db, nil
}

// statementLog is GORM's own logger, spared what is nobody's fault and what
// nobody would read: without it each statement is put together twice.
type statementLog struct {
	logger.Interface
	verbose bool
}

func newStatementLog(log *slog.Logger) statementLog {
	return statementLog{Interface: logger.NewSlogLogger(log, logger.Config{
		LogLevel:                  logger.Warn,
		SlowThreshold:             slowStatement,
		ParameterizedQueries:      true,
		IgnoreRecordNotFoundError: true,
	})}
}

// LogMode returns the same log at another level.
func (l statementLog) LogMode(level logger.LogLevel) logger.Interface {
	return statementLog{Interface: l.Interface.LogMode(level), verbose: level >= logger.Info}
}

// Trace logs one statement.
func (l statementLog) Trace(ctx context.Context, begin time.Time, fc func() (string, int64), err error) {
	if isExpected(err) {
		err = nil
	}
	if err == nil && !l.verbose && time.Since(begin) <= slowStatement {
		return
	}
	l.Interface.Trace(ctx, begin, fc, err)
}

// ParamsFilter keeps values, which are people's, out of the log.
func (l statementLog) ParamsFilter(_ context.Context, query string, _ ...any) (string, []any) {
	return query, nil
}

// isExpected is true for answers that callers act upon, and for a database out of
// reach: whoever wanted it says so, once, and knows whose it is.
func isExpected(err error) bool {
	return err == nil || errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, gorm.ErrDuplicatedKey) ||
		errors.Is(err, gorm.ErrForeignKeyViolated) || errors.Is(err, gorm.ErrCheckConstraintViolated) ||
		isContextError(err) || IsUnavailable(err)
}
