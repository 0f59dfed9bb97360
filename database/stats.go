package database

// Stats counts the connections of a Backend: those there are now, and since it was
// opened what happened to them. On SQLite only Connections means anything.
type Stats struct {
	Connections    int // open, being opened or being closed
	InUse          int
	Idle           int
	Waiting        int // who wait for one
	MaxConnections int

	Dials        int
	DialFailures int
	Evictions    int // connections closed for the sake of another database
	BusyRefusals int
}

// Stats counts the permits.
func (b *postgresBackend) Stats() Stats {
	return Stats{
		Connections:    len(b.budget.core) + len(b.budget.tenants),
		MaxConnections: cap(b.budget.core) + cap(b.budget.tenants),
	}
}

// Stats knows of those of core.
func (b *sqliteBackend) Stats() Stats {
	pool, err := b.core.DB()
	if err != nil {
		return Stats{}
	}
	return Stats{Connections: pool.Stats().OpenConnections}
}
