package tenants

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"multitenant/database"
)

// errNoStamp says that a database bears no stamp at all.
var errNoStamp = fmt.Errorf("%w: it bears no stamp", database.ErrForeign)

// errStampHidden says that it may bear one, and that this cannot be seen.
var errStampHidden = fmt.Errorf("%w: the tenant's role may not read its stamp", database.ErrForeign)

// stampedWith refuses a database that does not bear the tenant's stamp. It
// looks at every connection, so a database that was swapped or made anew under
// an open handle is noticed too.
func stampedWith(id string) database.Check {
	return func(ctx context.Context, q database.Querier) error {
		var stamp string
		err := q.QueryRowContext(ctx, "SELECT tenant_id FROM tenant_stamp").Scan(&stamp)
		switch {
		case err == nil && stamp == id:
			return nil
		case err == nil:
			return fmt.Errorf("%w: it bears the stamp of tenant %s", database.ErrForeign, stamp)
		case errors.Is(err, sql.ErrNoRows) || database.IsUndefinedTable(err):
			// err is not wrapped: whoever wanted the connection must not take "no
			// rows" for the answer to a query of their own.
			return errNoStamp
		case database.IsDenied(err):
			return errStampHidden
		}
		return err
	}
}
