package database

// Inventory lists databases, roles and files by name.
type Inventory struct {
	Databases []string
	Roles     []string
	// Files are companions of a SQLite database that does not exist.
	Files []string
}

// Survey lists rights and roles.
type Survey struct {
	Core string // the name of the core database
	App  string // the application's own role
	// RoleConnections is how many connections a tenant's role should have at once.
	RoleConnections int

	Databases map[string]Rights
	Roles     map[string]RoleState
	Faults    []Fault
}

// Rights are the privileges on a database of all roles but its owner.
type Rights struct {
	Public []string            // of every role of the server
	Roles  map[string][]string // of single roles, by name
}

// RoleState describes a role.
type RoleState struct {
	CanLogin bool
	// Expired says when its password expired, if it has.
	Expired string
	// Connections is how many it may have at once; -1 is any number.
	Connections int
	Powers      []string // other attributes, such as SUPERUSER or CREATEDB
	MemberOf    []string
	// Needed says what depends on a role that may not log in, which keeps the role from
	// being dropped.
	Needed string
}

// IsFull reports whether the role may have no connection at all.
func (s RoleState) IsFull() bool { return s.Connections == 0 }

// Place is a database and the login for it.
type Place struct {
	Kind  string // a word for the names of trials
	Label string // for messages
	Name  string
	Login Login
}

// CorePlace is the core database.
func CorePlace(name string) Place {
	const core = "core"
	return Place{Kind: core, Label: core, Name: name}
}

// Crossing names the database to start from and those to reach. When From has no
// name, Cross tries only the ways that need no tenant.
type Crossing struct {
	From Place
	// Others are the places that From must not reach, beside core.
	Others []Place
}

// Result is how a trial ended.
type Result string

// ResultNote marks a way that only the administrator of the server can close.
const (
	ResultPass Result = "pass"
	ResultFail Result = "fail"
	ResultNote Result = "note"
)

// Trial is the outcome of an attempt to cross a border between tenants.
type Trial struct {
	Name   string // always the same for the same attempt
	Result Result
	Detail string
}

// Attempt is a way to try.
type Attempt struct {
	Name string
	What string // completes "it can" and "it cannot"
	// Excuse names the party that can close the way, where this service cannot.
	Excuse string
	// Statements are tried one by one, and none may succeed.
	Statements []string
	// Proof, where it is set, is a query whose number must be zero after each
	// statement: the server does not refuse everything that has no effect.
	Proof string
}

// Judge returns the trial for an attempt that ended with err. The attempt succeeded
// when err is nil; refused reports whether err is the expected refusal.
func (a *Attempt) Judge(err error, refused func(error) bool) Trial {
	trial := Trial{Name: a.Name, Result: ResultFail}
	switch {
	case err == nil && a.Excuse != "":
		trial.Result, trial.Detail = ResultNote, "can "+a.What+": "+a.Excuse
	case err == nil:
		trial.Detail = "can " + a.What
	case refused(err):
		trial.Result, trial.Detail = ResultPass, "cannot "+a.What
	default:
		trial.Detail = "was not refused to " + a.What + ", but failed: " + err.Error()
	}
	return trial
}
