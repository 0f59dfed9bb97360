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
