package tests_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// serveUntilBackedUp runs servers until there are as many backups as wanted, and requires
// that they end well.
func serveUntilBackedUp(t *testing.T, settings *testkit.Settings, servers, want int) {
	t.Helper()
	serving, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan testkit.Outcome, servers)
	for range servers {
		go func() { ended <- settings.CommandUntil(serving, "serve") }()
	}
	testkit.Await(t, time.Minute, func() error {
		if found := len(idsOf(t, settings)); found < want {
			return fmt.Errorf("there are %d backups", found)
		}
		return nil
	})
	stop()
	for range servers {
		outcome := (<-ended).RequireCode(t, 0)
		require.NotContains(t, outcome.Stderr, "a backup under way does not end")
	}
	require.Len(t, idsOf(t, settings), want, "none is made twice")
}

// Two servers share the work. What was missed is caught up, and what is not due stays.
func TestServersBackUp(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		settings.Command(t, "migrate").RequireCode(t, 0)
		for _, slug := range []string{"acme", "globex"} {
			settings.Command(t, "tenants", "create", slug).RequireCode(t, 0)
		}
		require.Contains(t, settings.Command(t, "tenants", "show", "acme").RequireCode(t, 0).Stderr, "its backups cannot be read")
		require.NoError(t, os.MkdirAll(folder, 0o700))
		settings.Variables["BACKUP_EVERY"] = "24h"
		serveUntilBackedUp(t, &settings, 2, 3)
		require.Len(t, listBackups(t, &settings), 3)

		missed := time.Now().Add(-49 * time.Hour).UTC().Truncate(time.Second)
		backdate(t, folder, listBackups(t, &settings)["acme"], missed)
		show := settings.Command(t, "tenants", "show", "acme").RequireCode(t, 0)
		require.Regexp(t, "last backup +"+missed.Format(time.RFC3339)+"\nlast proven +never\n", show.Stdout)
		serveUntilBackedUp(t, &settings, 1, 4)
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		shown := decodeLoosely[struct {
			Backups struct {
				LastGood   *time.Time `json:"last_good"`
				LastProven *time.Time `json:"last_proven"`
			} `json:"backups"`
		}](t, settings.Command(t, "tenants", "show", "acme", "--json"))
		require.WithinDuration(t, time.Now(), *shown.Backups.LastGood, time.Hour)
		require.Equal(t, shown.Backups.LastGood, shown.Backups.LastProven)
	})
}
