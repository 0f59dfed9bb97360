package commands

import (
	"context"
	"errors"

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/backups/archive"
	"multitenant/backups/store"
	"multitenant/config"
	"multitenant/tenants"
)

// backupCommand has the commands about backups.
type backupCommand struct {
	Run    backupRunCommand    `cmd:"" help:"Back up core and all tenants."`
	List   backupListCommand   `cmd:"" help:"List the backups there are."`
	Verify backupVerifyCommand `cmd:"" help:"Read all backups again and prove that they are whole."`
	Prune  backupPruneCommand  `cmd:"" help:"Remove the backups that BACKUP_KEEP does not keep."`
	Forget backupForgetCommand `cmd:"" help:"Remove all backups of a tenant, for good."`

	ExtractDump backupExtractDumpCommand `cmd:"" help:"Write the dump in a backup to a file, for pg_restore."`

	RestoreFleet backupRestoreFleetCommand `cmd:"" help:"Bring an installation back of which only the store is left."`
}

// errNoStore is a mistake in the settings, for commands that need a store alone.
var errNoStore = &settingsError{errors.New("settings:\nBACKUP_URL: must be set")}

// openStore opens the place where backups are kept. A command that makes no backups
// does not make the place either.
func openStore(settings *config.Backups, create bool) (store.Store, error) {
	if settings.Place.IsNone() {
		return nil, errNoStore
	}
	return store.Open(settings.Place, settings.Keys, create)
}

// withStore opens the store for a command that needs no database, calls do and closes
// the store.
func withStore(inv *Invocation, do func(*config.Backups, store.Store) error) error {
	cfg, err := inv.settings(config.LoadKeyless)
	if err != nil {
		return err
	}
	kept, err := openStore(&cfg.Backups, false)
	if err != nil {
		return err
	}
	return errors.Join(do(&cfg.Backups, kept), kept.Close())
}

// openBackups opens the backups of the installation. With create it also makes the place
// where they are kept. The identities are those of backups.Options. The caller must call
// close.
func (in *installation) openBackups(
	ctx context.Context, create bool, identities []age.Identity,
) (all *backups.Backups, closeStore func() error, err error) {
	settings := &in.config.Backups
	kept, err := openStore(settings, create)
	if err != nil {
		return nil, nil, err
	}
	databases, err := tenants.OpenDatabases(ctx, in.options())
	if err == nil {
		all, err = backups.New(&backups.Options{
			Databases: databases, Store: kept, Recipients: settings.Recipients, TokenKeyFile: settings.TokenKeyFile,
			PgDump: settings.PgDump, Identities: identities,
		})
	}
	if err != nil {
		return nil, nil, errors.Join(err, kept.Close())
	}
	return all, kept.Close, nil
}

// withBackups opens the backups for a command that reads them, calls do and closes the
// store.
func (in *installation) withBackups(ctx context.Context, do func(*backups.Backups, []age.Identity) error) error {
	identities, err := readIdentities(&in.config.Backups)
	if err != nil {
		return err
	}
	all, closeStore, err := in.openBackups(ctx, false, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(all, identities), closeStore())
}

// readIdentities returns none where BACKUP_IDENTITY_FILE is not set.
func readIdentities(settings *config.Backups) ([]age.Identity, error) {
	if settings.IdentityFile == "" {
		return nil, nil
	}
	return archive.ReadIdentities(settings.IdentityFile)
}
