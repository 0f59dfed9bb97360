package tenants

// Step names a point between two steps of making or deleting a tenant, at which
// a process may die.
type Step string

// The steps, in their order.
const (
	StepLocked   Step = "locked"   // the tenant's lock is held, nothing is written
	StepReserved Step = "reserved" // the registry's row and the role exist
	StepCreated  Step = "created"  // the database exists under its private name, empty
	StepBuilt    Step = "built"    // it is migrated and stamped
	StepSpare    Step = "spare"    // it is a spare, which no tenant has claimed
	StepNamed    Step = "named"    // it is claimed, with the organization's row, and has its public name
	StepSeeded   Step = "seeded"   // its first rows are written
	StepReady    Step = "ready"    // requests are admitted
	StepMarked   Step = "marked"   // it is marked for deletion, and requests are refused
	StepKept     Step = "kept"     // the last backup that was due is made
	StepDropped  Step = "dropped"  // the database is gone
	StepDeleted  Step = "deleted"  // the rows are gone
)
