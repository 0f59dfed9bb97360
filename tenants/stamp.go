package tenants

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"multitenant/database"
)

// errNoStamp says that a database has no stamp.
var errNoStamp = fmt.Errorf("%w: it bears no stamp", database.ErrForeign)

// ErrStampHidden says that the tenant's role may not read the stamp.
var ErrStampHidden = fmt.Errorf("%w: the tenant's role may not read its stamp", database.ErrForeign)

// StampedWith returns a check that refuses a database without the stamp of the
// tenant with that id. It reads the stamp on each new connection, so it also
// notices a database that was replaced under an open handle. Its errors are
// database.ErrForeign and those of the query.
func (d *Databases) StampedWith(id string) database.Check {
	query := "SELECT tenant_id FROM " + database.Qualified(d.Core, stampTable)
	return func(ctx context.Context, q database.Querier) error {
		var stamp string
		err := q.QueryRowContext(ctx, query).Scan(&stamp)
		switch {
		case err == nil && stamp == id:
			return nil
		case err == nil:
			return fmt.Errorf("%w: it bears the stamp of tenant %s", database.ErrForeign, stamp)
		case errors.Is(err, sql.ErrNoRows) || database.IsUndefinedTable(err):
			// err is not wrapped: the caller must not take "no rows" for the result of
			// its own query.
			return errNoStamp
		case database.IsDenied(err):
			return ErrStampHidden
		}
		return err
	}
}
