package tests_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// Spares are no tenants, and a program can ask whether there is work to do.
func TestMigrateStatusSaysWhetherWorkIsPending(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		healthy(t, &settings)
		settings.Spares = 0
		next := nextRelease(settings, createTable(notesID, "notes"))

		current := settings.Command(t, "migrate", "status", "--check").RequireCode(t, 0).Stdout
		require.Contains(t, current, "tenants: 2, of which 0 pending, 0 failed, 0 of a newer version\nspares: 1, of which 0 pending\n")
		require.Contains(t, current, "2 tenants")

		behind := next.Command(t, "migrate", "status", "--check").RequireCode(t, 1)
		require.Contains(t, behind.Stdout, "tenants: 2, of which 2 pending, 0 failed, 0 of a newer version\nspares: 1, of which 1 pending\n")
		require.Contains(t, behind.Stderr, "work is pending\nhint: `multitenant migrate` does it")
		next.Command(t, "migrate", "status").RequireCode(t, 0)

		next.Command(t, "migrate").RequireCode(t, 0)
		next.Command(t, "migrate", "status", "--check").RequireCode(t, 0)
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET error = 'out of room' WHERE slug IS NOT NULL")
		failed := next.Command(t, "migrate", "status", "--check").RequireCode(t, 1)
		require.Contains(t, failed.Stdout, "tenants: 2, of which 0 pending, 2 failed")
		settings.Exec(t, settings.CoreName(), "UPDATE tenants SET error = ''")
		settings.Exec(t, settings.CoreName(), "DELETE FROM schema_migrations WHERE id = '202611291110_set_core_sequences'")
		next.Command(t, "migrate", "status", "--check", "--json").RequireCode(t, 1)
	})
}
