// Package database is the contract between the application and its engines: what a
// Backend can do, its errors, and how a schema is migrated. The packages postgres
// and sqlite below it are the engines, connect chooses one of them, and no package
// above knows which one is in use.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"
)

var (
	// ErrNotExist says that a database is missing. Opening never makes one.
	ErrNotExist = errors.New("database does not exist")
	// ErrExist says that the name of a database is already taken.
	ErrExist = errors.New("database already exists")
	// ErrForeign is for a Check to return: the database is not the one it
	// should be, since its stamp is another's or it has none.
	ErrForeign = errors.New("database belongs to somebody else")
	// ErrHalfDropped says that dropping a database was begun and cut off: nobody
	// can open it any more, and all that can be done is to drop it again.
	ErrHalfDropped = errors.New("database is half dropped")
	// ErrInUse says that a database cannot be renamed while somebody has it open.
	ErrInUse = errors.New("database is in use")
	// ErrBusy says that no connection was free for as long as one may wait.
	ErrBusy = errors.New("no connection free")
	// ErrName says that a name is none this package would ever give a database.
	ErrName = errors.New("database name is not allowed")
	// ErrUnlocked says that a Session was used after its lock was given back.
	ErrUnlocked = errors.New("lock was given back")
)

// Options say where the databases are.
type Options struct {
	// URL names the core database: sqlite://path, postgres:// or postgresql://.
	// On PostgreSQL it must lead to the server itself or to a pooler in session
	// mode, since locks belong to a session.
	URL string
	// TenantURL, where it is set, says how tenants' databases on PostgreSQL are
	// reached while they are served: its host, port and parameters are taken, and
	// nothing else. It may lead to a pooler in transaction mode. Core, locks,
	// databases being made or migrated, and those of tenants without a role of
	// their own are always reached by URL.
	TenantURL string
	// TenantPrefix begins the name of every tenant's database.
	TenantPrefix string
	// MaxConnections bounds all PostgreSQL connections of this process together,
	// as the server counts them, at every moment: MinConnections or more. SQLite
	// ignores it.
	MaxConnections int
	// Existing keeps SQLite from making a core database that is missing.
	Existing bool
	// Logger gets slow and failed statements; nil is silent.
	Logger *slog.Logger
}

// Querier reads from one connection. *sql.Conn, *sql.Tx and *sql.DB satisfy it.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Check looks at a new physical connection before anybody may use it. Its error
// closes the connection and is what whoever wanted the connection gets.
type Check func(ctx context.Context, q Querier) error

// Backend is an engine with a core database open on it.
type Backend interface {
	Inspector

	// Core returns the core database, open as long as the Backend is.
	Core() *gorm.DB
	// OpenDatabase opens an existing database and never makes one. It is for
	// those who make and migrate: as the application's own role, directly. It
	// fails with ErrNotExist, ErrName, with check's own error, or with one that
	// IsUnavailable knows. check, which may be nil, runs on every new physical
	// connection. What it returns must be closed with Close.
	OpenDatabase(ctx context.Context, name string, check Check) (*gorm.DB, error)
	// OpenTenant is OpenDatabase for those who serve: on PostgreSQL as the role
	// login names, through the pool, and by way of Options.TenantURL. It connects and checks once; later uses may
	// fail with check's errors, too, and with ErrBusy.
	OpenTenant(ctx context.Context, name string, login Login, check Check) (*gorm.DB, error)
	// Exists reports whether there is a database of this name.
	Exists(ctx context.Context, name string) (bool, error)
	// Lock waits until nobody else, in this process or another, holds key. The
	// lock is gone when the process is.
	Lock(ctx context.Context, key string) (Session, error)
	// TryLock is Lock for those who would rather not wait.
	TryLock(ctx context.Context, key string) (Session, bool, error)
	// HasRoles reports whether every tenant can have a role of its own, which the
	// server keeps out of all other databases. SQLite has none, and on PostgreSQL
	// the application's own role may not be allowed to make any; then what
	// follows does nothing where it is given no role.
	HasRoles() bool
	// CreateRole makes a role in a transaction of the core database. It may log in
	// and nothing else. One that is there gets the password anew.
	CreateRole(tx *gorm.DB, login Login) error
	// DropRole removes a role, in a transaction of the core database, once its
	// databases are gone. A missing one is no error.
	DropRole(tx *gorm.DB, role string) error
	// GrantTables, in a transaction of a tenant's database, lets role read and
	// change the rows of all tables there are, but not those of guarded ones.
	GrantTables(tx *gorm.DB, role string, guarded Guarded) error
	// Secure keeps all other roles of the server out of the core database, and
	// warns where the server cannot keep tenants apart.
	Secure(ctx context.Context) error
	// MaxOpen is how many tenant databases may be open at once.
	MaxOpen() int
	// Stats says what connections there are and what they have been through.
	Stats() Stats
	// Close closes the core database and waits for its connections to end.
	Close() error
}

// Guarded are the tables of a tenant's database whose rows its role cannot write as
// it likes.
type Guarded struct {
	ReadOnly   []string // it reads them
	AppendOnly []string // it reads them, and adds to them
}

// Session holds a lock, and makes and drops databases under it. On PostgreSQL
// that is done by the very connection that holds the lock: while the server is
// still at work for a client that died or gave up, nobody else gets the lock. A
// session whose context ended in the middle of something is good for Unlock only.
type Session interface {
	// Create makes an empty database that only its owner can connect to. It
	// fails with ErrExist. After any other error the database may be there, or
	// be there later but before the lock can be taken again; it may then still
	// be open to everyone, so drop it and start over.
	Create(ctx context.Context, name string) error
	// Rename fails with ErrExist when to is there, with ErrNotExist when from is
	// not, and with ErrInUse when somebody has from open.
	Rename(ctx context.Context, from, to string) error
	// Claim gives a database its tenant's name and lets role connect to it,
	// together with what also writes in core: on PostgreSQL in one transaction. It
	// fails as Rename does, and as also does. After any other error on SQLite,
	// what also wrote may be committed while the database has its old name.
	Claim(ctx context.Context, from, to, role string, also func(tx *gorm.DB) error) error
	// Admit lets role, if one is given, connect to a database, and nobody else but
	// its owner.
	Admit(ctx context.Context, name, role string) error
	// Drop removes a database, whoever has it open: role's sessions are ended. A
	// missing one is no error.
	Drop(ctx context.Context, name, role string) error
	// Unlock gives the lock back. Calling it again does nothing.
	Unlock()
}

// MinConnections is the least Options.MaxConnections that PostgreSQL works with: a
// few connections for core, for databases being made, and for tenants.
const MinConnections = 12

const (
	// CloseTimeout bounds the wait for the far end of closing connections.
	CloseTimeout = 5 * time.Second
	// ConnectTimeout bounds the making of one connection, check included, also
	// where database/sql makes it on nobody's behalf.
	ConnectTimeout = 8 * time.Second
)

// Stats counts the connections of a Backend: those there are now, and since it was
// opened what happened to them. On SQLite only Connections means anything.
type Stats struct {
	Connections    int // open, being opened or being closed
	InUse          int
	Idle           int
	Waiting        int // who wait for one
	MaxConnections int

	Dials        int
	DialFailures int
	Evictions    int // connections closed for the sake of another database
	BusyRefusals int
}

// Close closes a database that OpenDatabase or OpenTenant opened, and waits until its
// connections have ended at the far end too, so that it can be renamed at once.
// It waits for statements under way; after some seconds it gives up with an error.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}
