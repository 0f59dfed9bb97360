package commands

import (
	"errors"

	"multitenant/backups/store"
	"multitenant/config"
)

// backupCommand has the commands about backups.
type backupCommand struct {
	Run    backupRunCommand    `cmd:"" help:"Back up core and all tenants."`
	List   backupListCommand   `cmd:"" help:"List the backups there are."`
	Verify backupVerifyCommand `cmd:"" help:"Read all backups again and prove that they are whole."`
	Prune  backupPruneCommand  `cmd:"" help:"Remove the backups that BACKUP_KEEP does not keep."`
	Forget backupForgetCommand `cmd:"" help:"Remove all backups of a tenant, for good."`
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
