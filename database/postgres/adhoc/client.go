package adhoc

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"multitenant/database"
)

const (
	attributes = "target_session_attrs"
	readWrite  = "read-write"
)

// variables are libpq's variables for the parameters of a URL that say how to connect.
func variables() map[string]string {
	return map[string]string{
		"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL",
		"sslsni": "PGSSLSNI", "sslnegotiation": "PGSSLNEGOTIATION", "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
		"ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION", "channel_binding": "PGCHANNELBINDING", "require_auth": "PGREQUIREAUTH",
		"krbsrvname": "PGKRBSRVNAME", attributes: "PGTARGETSESSIONATTRS", "connect_timeout": "PGCONNECT_TIMEOUT",
	}
}

// Client says how psql is started. All it is told is in its environment, which other users
// of the machine cannot read. A file with the password would outlive a process that is
// killed, and the password never changes. hosts are the servers of the URL, in its order,
// and query is its parameters.
func Client(e *database.Entry, hosts []*pgconn.FallbackConfig, query url.Values, write bool) (database.Client, error) {
	if query.Has("service") {
		return database.Client{}, errors.New("DATABASE_URL has a service, whose user psql would take for the tenant's")
	}
	env := map[string]string{
		"PGUSER": e.Login.Role, "PGPASSWORD": e.Login.Password, "PGDATABASE": e.Name, "PGAPPNAME": "multitenant tenants sql",
		"PGCLIENTENCODING": "UTF8",
	}
	for parameter, variable := range variables() {
		if query.Has(parameter) {
			env[variable] = query.Get(parameter)
		}
	}
	names, ports := make([]string, len(hosts)), make([]string, len(hosts))
	for i, host := range hosts {
		names[i], ports[i] = host.Host, strconv.Itoa(int(host.Port))
	}
	env["PGHOST"], env["PGPORT"] = strings.Join(names, ","), strings.Join(ports, ",")
	if len(hosts) > 1 && !query.Has(attributes) {
		env[variables()[attributes]] = readWrite
	}
	if !write {
		env["PGOPTIONS"] = "-c default_transaction_read_only=on"
		if env[variables()[attributes]] == readWrite { // libpq would take every server for a standby
			env[variables()[attributes]] = "primary"
		}
	}
	return database.Client{Program: "psql", Package: "postgresql-client", Env: env}, nil
}
