package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// slowStatement is the time after which a statement is logged.
const slowStatement = time.Second

// Limits bound what database/sql keeps open for one database.
type Limits struct {
	Connections     int // zero: any number
	IdleConnections int // below zero: none
	Idle            time.Duration
}

// Connector is a driver.Connector whose Close waits until the far end of each
// connection has closed. SkipDrain makes Close return at once.
type Connector interface {
	driver.Connector
	SkipDrain()
}

// ConnectOnce makes a database/sql pool and opens one connection, so that the
// caller learns of a failure within its own context.
func ConnectOnce(ctx context.Context, c Connector, l Limits) (*sql.DB, error) {
	handles := sql.OpenDB(c)
	handles.SetMaxOpenConns(l.Connections)
	handles.SetMaxIdleConns(l.IdleConnections)
	handles.SetConnMaxIdleTime(l.Idle)
	if err := handles.PingContext(ctx); err != nil {
		// A server that does not answer does not close its end either.
		c.SkipDrain()
		return nil, errors.Join(err, handles.Close())
	}
	return handles, nil
}

// CopyGORM returns a handle on conns that shares the configuration and the parsed
// models of db, so that an open database costs little memory.
func CopyGORM(db *gorm.DB, conns gorm.ConnPool) *gorm.DB {
	mine := db.Session(&gorm.Session{NewDB: true})
	mine.ConnPool = conns
	mine.Statement = &gorm.Statement{
		DB:       mine,
		ConnPool: conns,
		Context:  context.Background(),
		Clauses:  map[string]clause.Clause{},
	}
	return mine
}

// OpenGORM opens GORM on a database/sql pool.
func OpenGORM(handles *sql.DB, dialector gorm.Dialector, log *slog.Logger) (*gorm.DB, error) {
	db, err := gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		QueryFields:            true,
		DisableAutomaticPing:   true,
		// PostgreSQL keeps microseconds: a written record must equal the one read back.
		NowFunc: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
		Logger:  newStatementLog(log),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), handles.Close())
	}
	return db, nil
}

// statementLog is GORM's logger without expected errors. It also avoids building the
// text of each statement that is not logged.
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

// ParamsFilter keeps values, which may be personal, out of the log.
func (l statementLog) ParamsFilter(_ context.Context, query string, _ ...any) (string, []any) {
	return query, nil
}

// isExpected is true for errors that callers handle, and for a database out of
// reach: the caller logs that once, with the name of the tenant.
func isExpected(err error) bool {
	return err == nil || errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, gorm.ErrDuplicatedKey) ||
		errors.Is(err, gorm.ErrForeignKeyViolated) || errors.Is(err, gorm.ErrCheckConstraintViolated) ||
		IsContextError(err) || IsUnavailable(err)
}
