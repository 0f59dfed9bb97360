package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"multitenant/models"
)

func families() []family {
	return slices.Concat(handleFamilies(), workFamilies(), backupFamilies(), registryFamilies(), databaseFamilies())
}

// handleFamilies are about the databases of tenants that are kept open.
func handleFamilies() []family {
	return []family{
		gauge("tenants_open", "Databases of tenants that are open.",
			func(s *snapshot) int { return s.tenants.Open }),
		gauge("tenants_open_max", "How many databases of tenants may be open at once.",
			func(s *snapshot) int { return s.tenants.MaxOpen }),
		labelled(prometheus.CounterValue, "tenant_opens_total", outcome,
			"Cold opens: openings of a tenant's database that was not open when a request asked for it; busy means that all "+
				"others were in use for too long.",
			func(s *snapshot) []value {
				return []value{
					of("opened", s.tenants.Opened), of("busy", s.tenants.OpenBusy), of(outcomeFailed, s.tenants.OpenFailed),
				}
			}),
		labelled(prometheus.CounterValue, "tenant_evictions_total", "reason",
			"Idle databases of tenants that were closed: to make room for another, or unused for a while.",
			func(s *snapshot) []value {
				return []value{of("room", s.tenants.Evicted), of("unused", s.tenants.Unused)}
			}),
	}
}

// workFamilies are about what is done to tenants.
func workFamilies() []family {
	return []family{
		counter("tenant_deletions_total", "Tenants deleted by this process, interrupted deletions that it finished included.",
			func(s *snapshot) int { return s.tenants.Deleted }),
		labelled(prometheus.CounterValue, "tenant_migrations_total", outcome,
			"Migrations of single tenants and spares by this process, by how they ended.",
			func(s *snapshot) []value {
				return []value{of("migrated", s.tenants.Migrated), of(outcomeFailed, s.tenants.MigrationFailed)}
			}),
		labelled(prometheus.CounterValue, "reconciler_actions_total", "action",
			"Tenants that were found half-made or half-deleted, by what the reconciler did: undone and deleted are gone, left "+
				"are being worked on.",
			func(s *snapshot) []value {
				n := s.tenants.Reconciled
				return []value{of("undone", n.Undone), of("deleted", n.Deleted), of("left", n.Left), of(outcomeFailed, n.Failed)}
			}),
	}
}

// backupFamilies are about the backups that this process makes by itself.
func backupFamilies() []family {
	return []family{
		labelled(prometheus.CounterValue, "backups_total", outcome, "Scheduled backups by this process, by how they ended.",
			func(s *snapshot) []value {
				return []value{
					of("complete", s.backups.Complete), of("incomplete", s.backups.Incomplete), of(outcomeFailed, s.backups.Failed),
				}
			}),
		gauge("backup_oldest_age_seconds",
			"Age of the newest good backup of the database where that is the oldest, at the last look; 0 without a schedule.",
			func(s *snapshot) int { return int(s.backups.OldestGood.Seconds()) }),
		gauge("backups_missing", "Databases without a good backup, at the last look; 0 without a schedule.",
			func(s *snapshot) int { return s.backups.Without }),
		gauge("backup_oldest_proven_age_seconds",
			"Age of the newest proven backup of the database where that is the oldest, at the last look; 0 without a schedule.",
			func(s *snapshot) int { return int(s.backups.OldestProven.Seconds()) }),
		gauge("backups_unproven", "Databases without a proven backup, at the last look; 0 without a schedule.",
			func(s *snapshot) int { return s.backups.Unproven }),
	}
}

// registryFamilies are the same in all processes on one core.
func registryFamilies() []family {
	reachable := func(s *snapshot) bool { return s.statuses != nil }
	return []family{
		gauge("core_reachable", "1 if the core database answered this scrape, 0 if not.", func(s *snapshot) int {
			if reachable(s) {
				return 1
			}
			return 0
		}),
		labelled(prometheus.GaugeValue, "tenants", "status", "Tenants in the registry, by their status.",
			func(s *snapshot) []value {
				values := make([]value, len(s.statuses))
				for i, count := range s.statuses {
					values[i] = of(string(count.Status), count.Tenants)
				}
				return values
			}),
		gauge("tenants_failed", "Tenants in the registry whose last migration failed.", func(s *snapshot) (failed int) {
			for _, count := range s.statuses {
				failed += count.Failed
			}
			return failed
		}).only(reachable),
		gauge("spares_ready", "Databases kept made for tenants to come.", func(s *snapshot) (spares int) {
			for _, count := range s.statuses {
				if count.Status == models.TenantSpare {
					spares = count.Tenants
				}
			}
			return spares
		}).only(reachable),
		labelled(prometheus.GaugeValue, "operations", "kind status",
			"Operations in core, by their kind and status; they stay for 30 days after their end.",
			func(s *snapshot) []value {
				values := make([]value, len(s.operations))
				for i, count := range s.operations {
					values[i] = value{labels: []string{string(count.Kind), string(count.Status)}, number: count.Operations}
				}
				return values
			}),
	}
}

// databaseFamilies are about connections. On SQLite these are files, of which
// there is little to say.
func databaseFamilies() []family {
	bounded := poolFamilies()
	for i := range bounded {
		bounded[i] = bounded[i].only(func(s *snapshot) bool { return s.database.MaxConnections > 0 })
	}
	return append(bounded, gauge("database_connections", "Connections open, being opened or being closed.",
		func(s *snapshot) int { return s.database.Connections }))
}

func poolFamilies() []family {
	return []family{
		gauge("database_connections_max", "How many connections this process may have.",
			func(s *snapshot) int { return s.database.MaxConnections }),
		gauge("database_connections_in_use", "Connections in use.",
			func(s *snapshot) int { return s.database.InUse }),
		gauge("database_connections_idle", "Connections kept open for the next who needs one.",
			func(s *snapshot) int { return s.database.Idle }),
		gauge("database_connection_waiters", "Who wait for a connection.",
			func(s *snapshot) int { return s.database.Waiting }),
		counter("database_dials_total", "Connections begun.",
			func(s *snapshot) int { return s.database.Dials }),
		counter("database_dial_failures_total", "Connections that did not come about.",
			func(s *snapshot) int { return s.database.DialFailures }),
		counter("database_connection_evictions_total", "Idle connections closed for the sake of another database.",
			func(s *snapshot) int { return s.database.Evictions }),
		counter("database_busy_total", "Who waited for a connection in vain.",
			func(s *snapshot) int { return s.database.BusyRefusals }),
		counter("database_interruptions_total", "Statements of slow tenants that were ended for another tenant.",
			func(s *snapshot) int { return s.database.Interruptions }),
	}
}
