package database

import (
	"context"

	"gorm.io/gorm"
)

// Inspector is the part of a Backend for those who look at it with distrust.
type Inspector interface {
	// List names what bears a name that begins so, the core database apart.
	List(ctx context.Context, prefix string) (Inventory, error)
	// Survey says who may do what to the core database and those whose name begins
	// so, and what the roles may whose name does. It is empty where there are no
	// roles, as on SQLite.
	Survey(ctx context.Context, prefix string) (Survey, error)
	// Lacking lists the tables and sequences of a tenant's database that role may
	// not use as GrantTables lets it.
	Lacking(ctx context.Context, db *gorm.DB, role string, guarded Guarded) ([]string, error)
	// Cross tries to get out of a tenant's database in every way there is, and
	// leaves nothing behind where it succeeds.
	Cross(ctx context.Context, c *Crossing) ([]Trial, error)
}

// Inventory is what there is, by its names.
type Inventory struct {
	Databases []string
	Roles     []string
	// Files are those that SQLite keeps beside a database that is not there.
	Files []string
}

// Survey says who may do what.
type Survey struct {
	Core      string // the core database's name; empty where there are no roles
	Databases map[string]Rights
	Roles     map[string]RoleState
}

// Rights say what others than its owner may do to a database.
type Rights struct {
	Public []string            // what every role of the server may
	Roles  map[string][]string // what single ones may, by their names
}

// RoleState says what a role is.
type RoleState struct {
	CanLogin bool
	Powers   []string // what it has beyond that: SUPERUSER, CREATEDB and the like
	MemberOf []string
}

// Place is a database, and how it is entered.
type Place struct {
	Kind  string // a word for the names of trials
	Label string // what people call it
	Name  string
	Login Login
}

// CorePlace is the core database.
func CorePlace(name string) Place {
	const core = "core"
	return Place{Kind: core, Label: core, Name: name}
}

// Crossing says whence to cross and whereto. Without a name of From only that is
// tried which needs no tenant.
type Crossing struct {
	From Place
	// Others are the places that From must not reach, beside core.
	Others []Place
}

// Result is how a trial ended.
type Result string

// A note is what only the server's administrator can close.
const (
	ResultPass Result = "pass"
	ResultFail Result = "fail"
	ResultNote Result = "note"
)

// Trial is an attempt to do what a tenant must not.
type Trial struct {
	Name   string // always the same for the same attempt
	Result Result
	Detail string
}

// Attempt is what is tried in a trial.
type Attempt struct {
	Name string
	What string // completes "it can" and "it cannot"
	// Excuse names the party that can close the way, where this service cannot.
	Excuse string
	// Statements are tried one by one, and none may succeed.
	Statements []string
	// Proof, where it is set, is a query for a number that must be zero after
	// each of them, or without any: not all that is in vain is refused.
	Proof string
}

// Judge makes a trial of how the attempt ended: without an error it was let
// through, and refused says which errors are what keeps tenants apart.
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
