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

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/backups/store"
	"multitenant/config"
)

type backupVerifyCommand struct {
	Level int  `default:"2" enum:"1,2,3" help:"1: each archive is the one that was written. 2: it can also be read, each table to its last row. 3: it can also be restored."`
	JSON  bool `name:"json" help:"Write an array of JSON."`
}

// Help describes the command.
func (backupVerifyCommand) Help() string {
	return "Reads every backup in BACKUP_URL to its end and compares it with its hashes; it needs no database. Level 3 also " +
		"restores each into a scratch database of this installation, compares that with the backup, and drops it. Levels 2 and 3 " +
		"need BACKUP_IDENTITY_FILE for backups that are encrypted, so run it where the identity is kept. The exit code is 1 when " +
		"a backup is not whole, and when there is none. What was found is kept in BACKUP_URL, beside the backup."
}

// proofView is what became of the proof of one backup.
type proofView struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Level int    `json:"level"`
	Error string `json:"error"` // empty if the backup is whole
}

// Run verifies.
func (c *backupVerifyCommand) Run(ctx context.Context, inv *Invocation) error {
	if c.Level == backups.LevelRestored {
		return c.restoreAll(ctx, inv)
	}
	return withStore(inv, func(settings *config.Backups, kept store.Store) error {
		identities, err := readIdentities(settings)
		if err != nil {
			return err
		}
		entries, err := backups.List(ctx, kept)
		if err != nil {
			return err
		}
		return c.verify(ctx, inv, entries, func(r *backups.Record) error {
			return backups.NoteProof(ctx, kept, r, c.Level, backups.Verify(ctx, kept, r, c.Level, identities))
		})
	})
}

// restoreAll verifies at the level that needs databases.
func (c *backupVerifyCommand) restoreAll(ctx context.Context, inv *Invocation) error {
	in, err := openInstallation(ctx, inv, config.LoadKeyless, true)
	if err != nil {
		return err
	}
	defer in.close()
	return in.withBackups(ctx, func(all *backups.Backups, identities []age.Identity) error {
		entries, err := all.List(ctx)
		if err != nil {
			return err
		}
		return c.verify(ctx, inv, entries, func(r *backups.Record) error { return all.Prove(ctx, r, identities) })
	})
}

func (c *backupVerifyCommand) verify(
	ctx context.Context, inv *Invocation, entries []backups.Entry, prove func(*backups.Record) error,
) error {
	bar := startProgress(inv, "verifying")
	views, failed := make([]proofView, 0, len(entries)), 0
	for i := range entries {
		view := c.prove(&entries[i], prove)
		if ctx.Err() != nil {
			break
		}
		if view.Error != "" {
			failed++
		}
		views = append(views, view)
		bar.show(len(views), len(entries), failed, "backups")
	}
	bar.finish()
	if err := c.show(inv, views, failed); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %d of %d backups were not verified", len(entries)-len(views), len(entries))
	case failed > 0:
		return fmt.Errorf("%d of %d backups are not whole", failed, len(entries))
	case len(entries) == 0:
		return withHint(errors.New("there is no backup"), "`multitenant backup run` makes them")
	}
	return nil
}

func (c *backupVerifyCommand) prove(entry *backups.Entry, prove func(*backups.Record) error) proofView {
	view, err := proofView{ID: entry.Name, Level: c.Level}, entry.Err
	if entry.Record != nil {
		view.ID, view.Name = entry.Record.ID, entry.Record.Name()
		err = prove(entry.Record)
	}
	if err != nil {
		view.Error = oneLine(err.Error())
	}
	return view
}

func (c *backupVerifyCommand) show(inv *Invocation, views []proofView, failed int) error {
	if c.JSON {
		return writeJSON(inv.Stdout, views)
	}
	say(inv.Stdout, fmt.Sprintf("backups: %d whole, %d not", len(views)-failed, failed))
	for _, view := range views {
		if view.Error != "" {
			say(inv.Stderr, fmt.Sprintf("%s %s: %s", view.Name, view.ID, view.Error))
		}
	}
	return nil
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
			return withHint(fmt.Errorf("backup %s: %w", c.Backup, err), hintOnFiles(err))
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
