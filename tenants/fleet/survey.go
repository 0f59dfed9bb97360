package fleet

import (
	"context"

	"multitenant/database"
)

// survey reads the server's rights and roles. It is empty on an engine without
// roles.
func (f *Fleet) survey(ctx context.Context) (database.Survey, error) {
	if f.databases.Roles == nil {
		return database.Survey{}, nil
	}
	return f.databases.Roles.Survey(ctx, f.databases.Prefix)
}
