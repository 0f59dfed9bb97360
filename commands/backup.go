package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"multitenant/backups"
	"multitenant/backups/archive"
	"multitenant/backups/store"
	"multitenant/config"
	"multitenant/tenants"
)

// backupCommand has the commands about backups.
type backupCommand struct {
	group

	Make   backupRunCommand    `cmd:"" name:"run" help:"Back up core and all tenants."`
	List   backupListCommand   `cmd:"" help:"List the backups there are."`
	Verify backupVerifyCommand `cmd:"" help:"Read all backups again and prove that they are whole."`
	Prune  backupPruneCommand  `cmd:"" help:"Remove the backups that BACKUP_KEEP does not keep."`
	Forget backupForgetCommand `cmd:"" help:"Remove all backups of a tenant, for good."`

	ExtractDump backupExtractDumpCommand `cmd:"" help:"Write the dump in a backup to a file, for pg_restore."`

	RestoreFleet backupRestoreFleetCommand `cmd:"" help:"Bring an installation back of which only the store is left."`
}

// openStore opens the place where backups are kept. A command that makes no backups
// does not make the place either.
func openStore(settings *config.Backups, create bool) (store.Store, error) {
	if settings.Place.IsNone() {
		return nil, missingSetting("BACKUP_URL", "where backups are kept", "file:///var/backups/multitenant")
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
	Unexplained    []string  `json:"unexplained"` // things that no migration makes
	Dumped         bool      `json:"dumped"`      // a dump has them, too
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
