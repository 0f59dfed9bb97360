package commands

import (
	"context"
	"fmt"
	"time"

	"multitenant/backups"
	"multitenant/backups/store"
	"multitenant/config"
)

type backupListCommand struct {
	JSON bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (backupListCommand) Help() string {
	return "Reads the records in BACKUP_URL and needs no database: core may be what was lost. " +
		"The exit code is 1 when a record cannot be used."
}

// backupView is a backup as programs see it.
type backupView struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"` // the tenant's slug then, or core
	TenantID       string    `json:"tenant_id"`
	InstallationID string    `json:"installation_id"`
	Organization   string    `json:"organization"`
	TakenAt        time.Time `json:"taken_at"`
	Status         string    `json:"status"`
	Unexplained    []string  `json:"unexplained"`
	Encrypted      bool      `json:"encrypted"`
	Engine         string    `json:"engine"`
	EngineVersion  string    `json:"engine_version"`
	SchemaVersion  string    `json:"schema_version"`
	Bytes          int64     `json:"bytes"`
	SHA256         string    `json:"sha256"`
	Archive        string    `json:"archive"`
}

func newBackupView(r *backups.Record) backupView {
	view := backupView{
		ID: r.ID, Name: r.Name(), TenantID: r.TenantID, InstallationID: r.InstallationID, Organization: r.Organization,
		TakenAt: r.TakenAt.UTC(), Status: outcomeComplete, Unexplained: r.Unexplained, Encrypted: r.IsEncrypted(),
		Engine: r.Engine, EngineVersion: r.EngineVersion, SchemaVersion: r.SchemaVersion,
		Bytes: r.Bytes, SHA256: r.SHA256, Archive: r.Archive,
	}
	if !r.IsComplete() {
		view.Status = outcomeIncomplete
	}
	return view
}

// Run lists.
func (c *backupListCommand) Run(ctx context.Context, inv *Invocation) error {
	return withStore(inv, func(_ *config.Backups, kept store.Store) error {
		entries, err := backups.List(ctx, kept)
		if err != nil {
			return err
		}
		views, unusable := make([]backupView, 0, len(entries)), 0
		for i := range entries {
			if entries[i].Err != nil {
				say(inv.Stderr, entries[i].Name+": "+oneLine(entries[i].Err.Error()))
				unusable++
				continue
			}
			views = append(views, newBackupView(entries[i].Record))
		}
		if err := c.show(inv, views); err != nil {
			return err
		}
		if unusable > 0 {
			return fmt.Errorf("%d of %d records cannot be used", unusable, len(entries))
		}
		return nil
	})
}

func (c *backupListCommand) show(inv *Invocation, views []backupView) error {
	if c.JSON {
		return writeJSON(inv.Stdout, views)
	}
	table := newTable(inv.Stdout)
	say(table, "TENANT\tTAKEN\tSTATUS\tENCRYPTED\tBYTES\tBACKUP")
	for i := range views {
		view := &views[i]
		encrypted := "no"
		if view.Encrypted {
			encrypted = "yes"
		}
		say(table, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s", view.Name, view.TakenAt.Format(time.RFC3339), view.Status,
			encrypted, view.Bytes, view.ID))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
