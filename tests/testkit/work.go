package testkit

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/backups"
	"multitenant/backups/store"
	"multitenant/operations"
	"multitenant/tenants"
)

// work makes backups, as main does.
func (app *App) work(options tenants.Options) {
	app.rest = func() {}
	if app.Settings.Backups == "" {
		return
	}
	databases, err := tenants.OpenDatabases(app.tb.Context(), options)
	require.NoError(app.tb, err)
	kept, err := store.OpenFolder(app.Settings.Backups, true)
	require.NoError(app.tb, err)
	app.kept, err = backups.New(&backups.Options{Databases: databases, Store: kept})
	require.NoError(app.tb, err)
	worker := operations.New(operations.Options{
		Databases: databases, Kinds: []operations.Kind{backups.Operation{Backups: app.kept}}, Logger: options.Logger,
		Hold: app.Tenants.HoldLong,
	})
	working, cancel := context.WithCancel(context.WithoutCancel(app.tb.Context()))
	var running sync.WaitGroup
	running.Go(func() { worker.Run(working) })
	app.rest = func() {
		cancel()
		running.Wait()
		_ = kept.Close() // closing twice does no harm
	}
}

// lastBackups are those of the program with these variables.
func (s *Settings) lastBackups(tb testing.TB, place string) tenants.LastBackups {
	tb.Helper()
	kept, err := store.ParseURL(place)
	require.NoError(tb, err)
	keys := store.Keys{Access: s.Variables["BACKUP_ACCESS_KEY"], Secret: s.Variables["BACKUP_SECRET_KEY"]}
	var recipients []string
	if text := s.Variables["BACKUP_RECIPIENTS"]; text != "" {
		recipients = strings.Split(text, ",")
	}
	return backups.NewLast(kept, keys, recipients)
}
