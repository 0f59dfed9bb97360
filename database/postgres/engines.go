package postgres

import (
	"fmt"
	"strings"
)

// otherEngineError says that the server speaks PostgreSQL's protocol and is another
// database.
type otherEngineError struct{ name, reason string }

// Error says why the engine cannot be used.
func (e *otherEngineError) Error() string {
	return fmt.Sprintf("PostgreSQL is needed, the server is %s: %s", e.name, e.reason)
}

// checkEngine refuses the engines that are known not to work, by the answer to
// SELECT version(). They call themselves a recent PostgreSQL in server_version.
func checkEngine(version string) error {
	switch {
	case strings.Contains(version, "CockroachDB"):
		return &otherEngineError{"CockroachDB", "its advisory locks lock nothing"}
	case strings.Contains(version, "-YB-"):
		return &otherEngineError{"YugabyteDB", "it cannot have many databases"}
	}
	return nil
}
