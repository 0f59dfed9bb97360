package tests_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/backups"
	"multitenant/backups/store"
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
		require.NotContains(t, outcome.Stderr, "work under way does not end")
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

// A server looks into the store again before it copies: another may have been faster.
func TestServersBackUpNothingTwice(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme", "globex")
	all := backupsOf(t, app, folder)
	running, stop := context.WithCancel(t.Context())
	defer stop()
	looks := 0
	schedule := backups.NewSchedule(all, backups.ScheduleOptions{
		Every: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler),
		Hold: func(ctx context.Context) (func(), error) {
			if looks == 0 { // it has listed the store, and taken no lock yet
				settings.CommandUntil(ctx, "backup", "run").RequireCode(t, 0)
			}
			return func() {
				if looks++; looks == 3 {
					stop()
				}
			}, nil
		},
	})

	schedule.Run(running)

	require.Equal(t, backups.Figures{Without: 3, Unproven: 3}, schedule.Figures())
	require.Len(t, idsOf(t, &settings), 4)
}

// The newest proven backup of acme is old, and solo has none that is proven.
func TestFiguresOfBackups(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	folder := keepBackups(t, &settings, nil)
	app := testkit.Start(t, settings)
	fleetOf(app, "acme", "solo")
	settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
	backdate(t, folder, listBackups(t, &settings)["acme"], time.Now().Add(-49*time.Hour))
	settings.Command(t, "backup", "verify").RequireCode(t, 0)
	settings.Command(t, "backup", "run").RequireCode(t, 0)
	schedule := backups.NewSchedule(backupsOf(t, app, folder), backups.ScheduleOptions{
		Every: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler),
		Hold: func(context.Context) (func(), error) { return func() {}, nil },
	})
	running, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { schedule.Run(running) })

	testkit.Await(t, time.Minute, func() error {
		if schedule.Figures().Unproven == 0 {
			return errors.New("it has not looked yet")
		}
		return nil
	})

	stop()
	work.Wait()
	found := schedule.Figures()
	require.Equal(t, 2, found.Unproven, "core and solo")
	require.Zero(t, found.Without)
	require.Less(t, found.OldestGood, time.Hour)
	require.InDelta(t, 49, found.OldestProven.Hours(), 1)
}

// backupsOf opens the backups of an application in a folder.
func backupsOf(t *testing.T, app *testkit.App, folder string) *backups.Backups {
	t.Helper()
	databases := databasesOf(t, app)
	kept, err := store.OpenFolder(folder, true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	all, err := backups.New(&backups.Options{Databases: databases, Store: kept})
	require.NoError(t, err)
	return all
}
