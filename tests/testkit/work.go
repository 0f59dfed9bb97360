package testkit

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/auth/limits"
	"multitenant/backups"
	"multitenant/backups/archive"
	"multitenant/backups/export"
	"multitenant/backups/store"
	"multitenant/operations"
	"multitenant/tenants"
)

// work does operations, as main does.
func (app *App) work(options tenants.Options) {
	app.rest = func() {}
	var kinds []operations.Kind
	if last, ok := options.LastBackups.(*backups.Last); ok {
		kinds = append(kinds, backups.Deletion{Tenants: app.Tenants, Last: last})
	}
	closeStore := func() error { return nil }
	if app.Settings.Backups != "" {
		kinds = append(kinds, app.backups(options, &closeStore)...)
	}
	if len(kinds) == 0 {
		return
	}
	worker := operations.New(operations.Options{
		Databases: app.databases(options), Kinds: kinds, Logger: options.Logger, Hold: app.Tenants.HoldLong,
	})
	working, cancel := context.WithCancel(context.WithoutCancel(app.tb.Context()))
	var running sync.WaitGroup
	running.Go(func() { worker.Run(working) })
	app.rest = func() {
		cancel()
		running.Wait()
		_ = closeStore() // closing twice does no harm
	}
}

// backups opens the store of Settings.Backups, and returns the operations on it.
func (app *App) backups(options tenants.Options, closeStore *func() error) []operations.Kind {
	databases := app.databases(options)
	kept, err := store.OpenFolder(app.Settings.Backups, true)
	require.NoError(app.tb, err)
	open := &backups.Options{Databases: databases, Store: kept}
	if file := app.Settings.Variables["BACKUP_IDENTITY_FILE"]; file != "" {
		open.Identities, err = archive.ReadIdentities(file)
		require.NoError(app.tb, err)
	}
	app.kept, err = backups.New(open)
	require.NoError(app.tb, err)
	app.Exports = export.New(databases, kept)
	*closeStore = kept.Close
	return []operations.Kind{
		backups.Operation{Backups: app.kept},
		export.Operation{Exports: app.Exports},
		backups.Restoration{Backups: app.kept, Tenants: app.Tenants, Most: limits.New(app.Settings.Limits).Organizations()},
	}
}

func (app *App) databases(options tenants.Options) *tenants.Databases {
	databases, err := tenants.OpenDatabases(app.tb.Context(), options)
	require.NoError(app.tb, err)
	return databases
}

// lastBackups are those of the program with these variables.
func (s *Settings) lastBackups(tb testing.TB, place string) *backups.Last {
	tb.Helper()
	kept, err := store.ParseURL(place)
	require.NoError(tb, err)
	keys := store.Keys{Access: s.Variables["BACKUP_ACCESS_KEY"], Secret: s.Variables["BACKUP_SECRET_KEY"]}
	var recipients []string
	if text := s.Variables["BACKUP_RECIPIENTS"]; text != "" {
		recipients = strings.Split(text, ",")
	}
	return backups.NewLast(kept, keys, recipients, s.Variables["BACKUP_PG_DUMP"])
}
