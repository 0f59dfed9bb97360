package database

import "slices"

// FaultKind is a short word for what is wrong.
type FaultKind string

// The kinds of faults.
const (
	FaultSequence    FaultKind = "sequence"     // it gives no ids, or ids that are in use
	FaultTrigger     FaultKind = "trigger"      // the database does not enforce what it should
	FaultRowSecurity FaultKind = "row_security" // it hides all rows
	FaultReadOnly    FaultKind = "read_only"    // nothing can be written
	FaultSearchPath  FaultKind = "search_path"  // it does not lead to our tables
	FaultOwner       FaultKind = "owner"        // a table or a database belongs to another role
	FaultGrants      FaultKind = "grants"       // a role may not use a table or a schema
	FaultClosed      FaultKind = "closed"       // a database takes no connections
	FaultForeign     FaultKind = "foreign"      // another role's object, which is not our business
)

// Fault is something that a server's administrator or a restore has left, and that keeps
// the application from working.
type Fault struct {
	Kind FaultKind
	// Database and Role say what it is about: a database, a role in all databases, or a
	// role in one database. Both are empty if it is about the whole server.
	Database, Role string
	Problem        string
	// Repair are the statements that repair it, where the application's role may run
	// them; none otherwise.
	Repair []string
}

// FaultsOf returns the faults of a database that is opened as these roles. The empty name
// stands for the whole server.
func (s *Survey) FaultsOf(name string, roles ...string) []Fault {
	var found []Fault
	for _, fault := range s.Faults {
		if fault.isOf(name, roles) {
			found = append(found, fault)
		}
	}
	return found
}

func (f *Fault) isOf(name string, roles []string) bool {
	if f.Database == "" && f.Role == "" {
		return name == ""
	}
	return (f.Database == "" || f.Database == name) && (f.Role == "" || slices.Contains(roles, f.Role))
}
