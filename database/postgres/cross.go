package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"multitenant/database"
)

const (
	byAdministrator = "only the server's administrator can change that"
	openCatalogs    = "PostgreSQL shows them to all roles"
	ourSchema       = " in schema public"
	foreignSchema   = " in schema public, which is not ours: its owner can REVOKE CREATE ON SCHEMA public FROM PUBLIC"
)

// crossing is a Crossing under way, on a connection of the tenant's role.
type crossing struct {
	*database.Crossing

	conn     *sql.Conn
	app      string         // the application's own role
	other    database.Place // the tenant whose role and database the statements name
	pid      int            // of a session of the application's own role
	inPublic string         // says where something is made, and whose that is
	// extension is one that could be made; empty where the server has none.
	extension string
}

// Cross tries as the tenant's own role, with its own password.
func (b *backend) Cross(ctx context.Context, c *database.Crossing) ([]database.Trial, error) {
	if c.From.Name == "" {
		return nil, nil
	}
	trials := b.tryConnecting(ctx, c)
	db, err := b.openAs(ctx, c.From.Name, c.From.Login)
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	inside, err := b.tryInside(ctx, c, pool)
	return append(trials, inside...), errors.Join(err, database.Close(db))
}

// tryConnecting tries to connect to other databases, and to its own one with a
// wrong password.
func (b *backend) tryConnecting(ctx context.Context, c *database.Crossing) []database.Trial {
	places := append(slices.Clone(c.Others), database.CorePlace(b.config.Database))
	trials := make([]database.Trial, 0, len(places)+3)
	for _, place := range places {
		a := database.Attempt{Name: "connect_" + place.Kind, What: "connect to the database of " + place.Label}
		trials = append(trials, a.Judge(b.connectAs(ctx, place.Name, c.From.Login), isRefusedEntry))
	}
	for _, name := range serversOwn() {
		err := b.connectAs(ctx, name, c.From.Login)
		if errors.Is(err, database.ErrNotExist) {
			continue
		}
		a := database.Attempt{Name: "connect_" + name, What: "connect to the server's own database " + name, Excuse: byAdministrator}
		trials = append(trials, a.Judge(err, isRefusedEntry))
	}
	a := database.Attempt{
		Name: "wrong_password", What: "log in with a wrong password",
		Excuse: "the server trusts all connections from here: see pg_hba.conf, where it should say scram-sha-256",
	}
	err := b.connectAs(ctx, c.From.Name, database.Login{Role: c.From.Login.Role, Password: "wrong"})
	return append(trials, a.Judge(err, database.IsLoginRefused))
}

// serversOwn are the databases that every server has.
func serversOwn() []string { return []string{driverName, "template1"} }

func (b *backend) connectAs(ctx context.Context, name string, login database.Login) error {
	db, err := b.openAs(ctx, name, login)
	if err != nil {
		return err
	}
	return database.Close(db)
}

// openAs opens any database, core too, and not through a pooler: the server itself
// must refuse.
func (b *backend) openAs(ctx context.Context, name string, login database.Login) (*gorm.DB, error) {
	return b.open(ctx, b.pools.making, &target{server: b.server, name: name, login: login, path: catalogPath})
}

func isRefusedEntry(err error) bool { return database.IsDenied(err) || database.HasState(err, "28000") }

func isRefusedStatement(err error) bool { return database.IsDenied(err) || errors.Is(err, errNothing) }

// tryInside runs the attempts that are statements.
func (b *backend) tryInside(ctx context.Context, c *database.Crossing, pool *sql.DB) ([]database.Trial, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it is the pool's
	core, err := b.core.DB()
	if err != nil {
		return nil, err
	}
	// The attempt to end a session gets one of our own, so it harms no other session.
	session, err := core.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		// The server may have ended it, so it must not return to the pool.
		_ = session.Raw(func(any) error { return driver.ErrBadConn })
		_ = session.Close()
	}()
	x := crossing{Crossing: c, conn: conn, app: b.config.User}
	if err := session.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&x.pid); err != nil {
		return nil, fmt.Errorf("begin trials: %w", err)
	}
	if len(c.Others) > 0 {
		x.other = c.Others[0]
	}
	if err := x.look(ctx); err != nil {
		return nil, fmt.Errorf("begin trials: %w", err)
	}
	attempts := slices.Concat(x.makings(), x.changes(), x.disguises(), x.reaches(), x.excesses(), x.freedoms())
	trials := make([]database.Trial, len(attempts))
	for i := range attempts {
		trials[i] = x.try(ctx, &attempts[i])
	}
	return trials, nil
}

// look finds an extension to try, and the owner of schema public.
func (x *crossing) look(ctx context.Context) error {
	var ours bool
	err := x.conn.QueryRowContext(ctx, `SELECT pg_has_role($1, nspowner, 'USAGE'), coalesce((SELECT min(name)
		FROM pg_available_extensions WHERE installed_version IS NULL), '') FROM pg_namespace WHERE nspname = 'public'`,
		x.app).Scan(&ours, &x.extension)
	x.inPublic = ourSchema
	if err == nil && !ours {
		x.inPublic = foreignSchema
	}
	return err
}

// try runs the statements until one succeeds, or fails for another reason than a
// refusal.
func (x *crossing) try(ctx context.Context, a *database.Attempt) database.Trial {
	statements := a.Statements
	if len(statements) == 0 {
		statements = []string{""}
	}
	for _, statement := range statements {
		err := x.run(ctx, statement, a.Proof)
		if trial := a.Judge(err, isRefusedStatement); trial.Result != database.ResultPass {
			return trial
		}
	}
	return database.Trial{Name: a.Name, Result: database.ResultPass, Detail: "cannot " + a.What}
}

// errNothing stands for a refusal when a proof finds nothing.
var errNothing = errors.New("nothing was found")

// run runs one statement in a transaction and rolls it back. A statement that times
// out on a lock was not refused.
func (x *crossing) run(ctx context.Context, statement, proof string) (err error) {
	tx, err := x.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if undoing := tx.Rollback(); undoing != nil {
			err = errors.Join(err, fmt.Errorf("undo: %w", undoing))
		}
	}()
	if _, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return err
	}
	if statement != "" {
		if _, err := tx.ExecContext(ctx, statement); err != nil || proof == "" {
			return err
		}
	}
	var count int
	if err := tx.QueryRowContext(ctx, proof).Scan(&count); err != nil {
		return err
	}
	if count == 0 {
		return errNothing
	}
	return nil
}
