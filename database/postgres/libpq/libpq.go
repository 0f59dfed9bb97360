// Package libpq tells the programs of PostgreSQL how to connect, in their environment: that
// of a process is hidden from other users of the machine, its arguments are not.
package libpq

import (
	"errors"
	"net/url"
	"strings"

	"multitenant/database"
)

// Attributes is the variable that says which of several servers may be used.
const Attributes = "PGTARGETSESSIONATTRS"

// Parameters returns the parameters of a URL of PostgreSQL. The error does not quote it.
func Parameters(raw string) (url.Values, error) {
	_, _, after := database.CutHosts(raw)
	_, query, _ := strings.Cut(after, "?")
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the database URL is malformed")
	}
	return parameters, nil
}

// Variables returns libpq's variables for the parameters that say how to connect. It leaves
// out the server, the database and the user.
func Variables(parameters url.Values) map[string]string {
	variables := make(map[string]string)
	for parameter, variable := range names() {
		if parameters.Has(parameter) {
			variables[variable] = parameters.Get(parameter)
		}
	}
	return variables
}

func names() map[string]string {
	return map[string]string{
		"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL",
		"sslsni": "PGSSLSNI", "sslnegotiation": "PGSSLNEGOTIATION", "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
		"ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION", "channel_binding": "PGCHANNELBINDING", "require_auth": "PGREQUIREAUTH",
		"krbsrvname": "PGKRBSRVNAME", "target_session_attrs": Attributes, "connect_timeout": "PGCONNECT_TIMEOUT",
	}
}
