package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	Unexplained    []string  `json:"unexplained"` // what no migration makes
	Dumped         bool      `json:"dumped"`      // a dump has that, too
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
		TakenAt: r.TakenAt.UTC(), Status: outcomeComplete, Unexplained: r.Unexplained, Dumped: r.Dumped, Encrypted: r.IsEncrypted(),
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

type backupExtractDumpCommand struct {
	Backup string `arg:"" placeholder:"ID" help:"The backup. backup list has its id."`
	File   string `arg:"" type:"path" placeholder:"FILE" help:"The dump that is written; there must be no file of that name."`
}

// Help describes the command.
func (backupExtractDumpCommand) Help() string {
	return "Writes the dump that backup run --with-pg-dump has put into a backup, in pg_dump's custom format. It reads all of the " +
		"backup and compares it with its hashes; it needs no database, and BACKUP_IDENTITY_FILE for a backup that is encrypted. " +
		"The file has all data of the tenant: only you can read it. It is whole or, also when the command is killed, not there. " +
		"Restore from it by pg_restore --no-owner --no-privileges."
}

// Run writes the file.
func (c *backupExtractDumpCommand) Run(ctx context.Context, inv *Invocation) error {
	return withStore(inv, func(settings *config.Backups, kept store.Store) error {
		identities, err := readIdentities(settings)
		if err != nil {
			return err
		}
		record, err := backups.FindIn(ctx, kept, c.Backup)
		if err == nil {
			err = putFile(ctx, c.File, func(w io.Writer) error {
				return backups.ExtractDump(ctx, kept, record, identities, w)
			})
		}
		if err != nil {
			return fmt.Errorf("backup %s: %w", c.Backup, err)
		}
		say(inv.Stdout, fmt.Sprintf("the dump of %q as of %s is in %s", record.Name(), record.TakenAt.Format(time.RFC3339), c.File))
		return nil
	})
}

// putFile makes a file that only its owner can read. It is whole or not there.
func putFile(ctx context.Context, path string, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", path, fs.ErrExist), err)
	}
	folder, err := store.OpenFolder(filepath.Dir(path), false)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return errors.Join(folder.Put(ctx, filepath.Base(path), write), folder.Close())
}
