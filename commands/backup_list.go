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

func (v backupView) row() string {
	encrypted := "no"
	if v.Encrypted {
		encrypted = "yes"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s", v.Name, v.TakenAt.Format(time.RFC3339), v.Status, encrypted, v.Bytes, v.ID)
}

// Run lists.
func (c *backupListCommand) Run(ctx context.Context, inv *Invocation) error {
	return withStore(inv, func(_ *config.Backups, kept store.Store) error {
		list, unusable := newListing(inv, c.JSON, "TENANT\tTAKEN\tSTATUS\tENCRYPTED\tBYTES\tBACKUP"), 0
		err := backups.Each(ctx, kept, func(entry *backups.Entry) error {
			if entry.Record != nil {
				return list.add(newBackupView(entry.Record))
			}
			say(inv.Stderr, entry.Name+": "+oneLine(entry.Err.Error()))
			unusable++
			return nil
		})
		if err == nil {
			err = list.end()
		}
		if err == nil && unusable > 0 {
			err = fmt.Errorf("%d of %d records cannot be used", unusable, unusable+list.count)
		}
		return err
	})
}
