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
	// ErrForeign says that a database is not the expected one: its stamp is missing
	// or names another tenant. A Check returns it.
	ErrForeign = errors.New("database belongs to another tenant or program")
	// ErrHalfDropped says that dropping a database was interrupted. It cannot be
	// opened any more, only dropped again.
	ErrHalfDropped = errors.New("database is half dropped")
	// ErrInUse says that a database cannot be renamed or dropped while another's session
	// has it open.
	ErrInUse = errors.New("database is in use")
	// ErrBusy says that no connection became free in time.
	ErrBusy = errors.New("no connection free")
	// ErrName says that a name is not allowed for a database.
	ErrName = errors.New("database name is not allowed")
	// ErrUnlocked says that a Session was used after its lock was given back.
	ErrUnlocked = errors.New("lock was given back")
	// ErrReadOnly says that a database answers, but cannot be written.
	ErrReadOnly = errors.New("database is read-only")
	// ErrReplaced says that a database takes no writes, because another has its place.
	ErrReplaced = errors.New("database was replaced")
)

// Options say where the databases are.
type Options struct {
	// URL names the core database: sqlite://path, postgres:// or postgresql://.
	// On PostgreSQL it must lead to the server itself or to a pooler in session
	// mode, since locks belong to a session.
	URL string
	// TenantURL, where it is set, gives the host, port and parameters by which
	// requests reach tenants' databases on PostgreSQL. It may lead to a pooler in
	// transaction mode. Core, locks, databases being made or migrated, and tenants
	// without a role of their own are always reached by URL.
	TenantURL string
	// TenantPrefix begins the name of every tenant's database.
	TenantPrefix string
	// MaxConnections bounds all PostgreSQL connections of this process together,
	// as the server counts them, at every moment: MinConnections or more. SQLite
	// ignores it.
	MaxConnections int
	// TenantConnections bounds the connections of each tenant's role on PostgreSQL, of
	// all processes together; zero means DefaultTenantConnections.
	TenantConnections int
	// Existing keeps SQLite from creating a missing core database.
	Existing bool
	// Logger gets slow and failed statements; nil is silent.
	Logger *slog.Logger
}

// Querier reads from one connection. *sql.Conn, *sql.Tx and *sql.DB satisfy it.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Check examines a new physical connection before its first use. Its error closes
// the connection and goes to the caller that wanted it.
type Check func(ctx context.Context, q Querier) error

// Backend is an engine with a core database open on it.
type Backend interface {
	Copier
	Loader
	Adhoc

	// Core returns the core database, open as long as the Backend is.
	Core() *gorm.DB
	// Place says where the core database is, such as a file, or hosts and a name. It holds
	// no secret.
	Place() string
	// Ready asks core one question. It fails if core does not answer, and with
	// ErrReadOnly if the server does not let it be written.
	Ready(ctx context.Context) error
	// OpenDatabase opens an existing database, as the application's own role and not
	// through a pooler: for making and migrating. check, which may be nil, runs on
	// every new physical connection. The errors: ErrNotExist, ErrName, that of
	// check, and those that IsUnavailable knows. The caller must Close the database.
	OpenDatabase(ctx context.Context, name string, check Check) (*gorm.DB, error)
	// OpenTenant opens an existing database to serve requests: on PostgreSQL as the
	// role of login and by Options.TenantURL. It connects and checks once. Later
	// uses may also fail with the error of check, and with ErrBusy.
	OpenTenant(ctx context.Context, name string, login Login, check Check) (*gorm.DB, error)
	// Lock waits until no other caller, in this process or another, holds key. The
	// lock ends with the process.
	Lock(ctx context.Context, key string) (Session, error)
	// TryLock is Lock without the wait. It reports whether it got the lock.
	TryLock(ctx context.Context, key string) (Session, bool, error)
	// Roles returns what an engine adds whose server has roles, as PostgreSQL's. It
	// is nil on an engine without roles, as SQLite.
	Roles() Roles
	// List returns the databases, roles and files whose name begins with prefix,
	// without the core database.
	List(ctx context.Context, prefix string) (Inventory, error)
	// Size returns the bytes that the database takes on the disk; ErrNotExist.
	Size(ctx context.Context, name string) (int64, error)
	// Sizes is Size for many databases. Those that are missing are not in the answer.
	Sizes(ctx context.Context, names []string) (map[string]int64, error)
	// Cross tries every known way out of a tenant's database. It leaves nothing
	// behind, even where it succeeds.
	Cross(ctx context.Context, c *Crossing) ([]Trial, error)
	// OpensEarly reports whether a database should be opened before it is claimed: a session
	// takes long to begin, and Leave ends those of every process.
	OpensEarly() bool
	// MaxOpen is how many tenant databases may be open at once.
	MaxOpen() int
	// MaxLocks is how many Sessions this process may hold at once; others wait. It is
	// at least 3.
	MaxLocks() int
	// Stats counts connections.
	Stats() Stats
	// Close closes the core database and waits for its connections to end.
	Close() error
}

// Guarded are the tables of a tenant's database whose rows its role cannot freely
// change.
type Guarded struct {
	ReadOnly   []string // it reads them
	AppendOnly []string // it reads them, and adds to them
}

// Session holds a lock, and makes and drops databases under it. On PostgreSQL the
// connection that holds the lock also runs these statements: while the server still
// works for a client that died, the lock stays taken. After a context that ended
// during a call, only Unlock may be called.
type Session interface {
	// Create makes an empty database that only its owner can connect to. It fails
	// with ErrExist. After any other error the database may exist, or appear before
	// the lock is free again, and may be open to all roles: drop it and start over.
	Create(ctx context.Context, name string) error
	// CheckFree fails with ErrExist if there is a database of that name, whoever has made it.
	CheckFree(ctx context.Context, name string) error
	// CountSessions counts the sessions in a database: those of the application's own role,
	// and those of others, with which Claim fails with ErrInUse. It waits a moment for others
	// that are leaving. On SQLite all processes count as one other.
	CountSessions(ctx context.Context, name string) (own, others int, err error)
	// LiftLimit lets the application's own role connect to a database that it owns, however
	// few connections that may have. A missing database is no error.
	LiftLimit(ctx context.Context, name string) error
	// Leave closes a database, unless open is nil, and ends all sessions of the
	// application's own role in it: those of other processes, and those that a pooler keeps
	// open after Close. It returns once they have ended, or fails with ErrInUse after
	// CloseTimeout.
	Leave(ctx context.Context, name string, open *gorm.DB) error
	// Claim runs also in a transaction of core, renames a database to its tenant's
	// name and lets role connect to it. On PostgreSQL this is one transaction. On SQLite
	// the renaming comes first, and a process that dies in between leaves it. It fails
	// with the error of also, with ErrExist when to exists, with ErrNotExist when from
	// does not, and with ErrInUse when a session has from open. After these errors the
	// database has its old name.
	Claim(ctx context.Context, from, to, role string, also func(tx *gorm.DB) error) error
	// Replace puts a database in the place of another. No write to the replaced one
	// succeeds from the call of Carry on. It fails with ErrInUse when another's session
	// has one of the two open. On PostgreSQL a transaction of core renames both, so that
	// clients find the new one by the old name, and nothing has changed after an error. On
	// SQLite both keep their names, and writes to the replaced one fail with ErrReplaced,
	// after an error maybe too: Reopen must follow.
	Replace(ctx context.Context, r *Replacement) error
	// Reopen lets a database be written that Replace has closed. It does nothing to any
	// other. The registry must say that the database is in its place.
	Reopen(ctx context.Context, name string) error
	// Drop removes a database. It ends the sessions of the application and of role in
	// it, and fails with ErrInUse when another's session stays; the database admits no
	// new sessions then. A missing database is no error.
	Drop(ctx context.Context, name, role string) error
	// Unlock gives the lock back. Calling it again does nothing.
	Unlock()
}

// Replacement says which database takes the place of which.
type Replacement struct {
	Name string // the database that is replaced
	With string // the database that takes its place
	Kept string // the name that the replaced one gets, if it is renamed
	Role string // of the tenant; empty for none
	// Carry is called with the replaced database once all writes to it have ended.
	Carry func(ctx context.Context, from *gorm.DB) error
	// Switch writes the rows of core. now is the name of the database in place, and kept
	// that of the replaced one.
	Switch func(tx *gorm.DB, now, kept string) error
}

// MinConnections is the least Options.MaxConnections that PostgreSQL works with: a
// few connections for core, for databases being made, and for tenants.
const MinConnections = 12

// DefaultTenantConnections is Options.TenantConnections where it is not set.
const DefaultTenantConnections = 100

const (
	// CloseTimeout bounds the wait for the far end of closing connections.
	CloseTimeout = 5 * time.Second
	// ConnectTimeout bounds the making of one connection, check included.
	ConnectTimeout = 8 * time.Second
)

// Stats counts the connections of a Backend now, and events since it was opened. On
// SQLite only Connections is set.
type Stats struct {
	Connections    int // open, being opened or being closed
	InUse          int
	Idle           int
	Waiting        int // callers that wait for one
	MaxConnections int

	Dials        int
	DialFailures int
	Evictions    int // connections closed to make room for another database
	BusyRefusals int
	// Interruptions are connections taken from statements of slow databases.
	Interruptions int
}

// Close closes a database that OpenDatabase or OpenTenant opened. It waits for
// running statements and until the server has ended the connections, so that the
// database can be renamed at once. It fails with ErrInUse after CloseTimeout.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}
