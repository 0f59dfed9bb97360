package adhoc

import (
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database"
	"multitenant/database/postgres/libpq"
)

const readWrite = "read-write"

// Client says how psql is started. A file with the password would outlive a process that is
// killed, and the password never changes. hosts are the servers of the URL, in its order.
func Client(e *database.Entry, hosts []*pgconn.FallbackConfig, rawURL string, write bool) (database.Client, error) {
	parameters, err := libpq.Parameters(rawURL)
	if err != nil {
		return database.Client{}, err
	}
	if parameters.Has("service") {
		return database.Client{}, errors.New("DATABASE_URL has a service, whose user psql would take for the tenant's")
	}
	env := libpq.Variables(parameters)
	env["PGUSER"], env["PGPASSWORD"], env["PGDATABASE"] = e.Login.Role, e.Login.Password, e.Name
	env["PGAPPNAME"], env["PGCLIENTENCODING"] = "multitenant tenants sql", "UTF8"
	names, ports := make([]string, len(hosts)), make([]string, len(hosts))
	for i, host := range hosts {
		names[i], ports[i] = host.Host, strconv.Itoa(int(host.Port))
	}
	env["PGHOST"], env["PGPORT"] = strings.Join(names, ","), strings.Join(ports, ",")
	if len(hosts) > 1 && env[libpq.Attributes] == "" {
		env[libpq.Attributes] = readWrite
	}
	if !write {
		env["PGOPTIONS"] = "-c default_transaction_read_only=on"
		if env[libpq.Attributes] == readWrite { // libpq would take every server for a standby
			env[libpq.Attributes] = "primary"
		}
	}
	return database.Client{Program: "psql", Package: "postgresql-client", Env: env}, nil
}
