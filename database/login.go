package database

import "log/slog"

// Login is a role of the server and its password. The zero Login is the
// application's own role. Login never prints its password.
type Login struct {
	Role     string
	Password string
}

// String is the role's name.
func (l Login) String() string { return l.Role }

// GoString is for %#v.
func (l Login) GoString() string { return "database.Login{" + l.Role + "}" }

// LogValue is for logs.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.Role) }
