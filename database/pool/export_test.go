package pool

// Limits of the pool, for tests of it.
const (
	IdleGrace    = idleGrace
	Worth        = worth
	SlowDial     = slowDial
	DialsOfOne   = dialsOfOne
	PermitsOfOne = permitsOfOne
	PingAfter    = pingAfter
	OverdueAfter = overdueAfter
)
