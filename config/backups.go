package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"multitenant/backups/archive"
	"multitenant/backups/retention"
	"multitenant/backups/store"
)

const (
	minEvery = time.Minute
	maxEvery = 365 * 24 * time.Hour

	day                = 24 * time.Hour
	maxKeepDeletedDays = 3650
)

// Backups are the settings of backups.
type Backups struct {
	Place        store.Place // where they are kept; none means that there are none
	Keys         store.Keys  // for a bucket
	Recipients   []string
	IdentityFile string
	Keep         retention.Policy // zero means that all are kept
	KeepDeleted  time.Duration    // of deleted tenants
	Every        time.Duration    // 0 means that servers make none
	PgDump       string           // the program whose dump goes with them; empty for none
	// TokenKeyFile is where the token key is kept on SQLite, if no setting has it.
	TokenKeyFile string
}

// backups may be called only on settings without mistakes.
func (s *settings) backups() Backups {
	place, _ := parsePlace(s.BackupURL) // it has been checked, as all others
	keep, _ := parseKeep(s.BackupKeep)
	every, _ := parseEvery(s.BackupEvery)
	keepDeleted, _ := parseKeepDeleted(s.BackupKeepDeleted)
	all := Backups{
		Place: place, Keys: store.Keys{Access: s.BackupAccessKey, Secret: s.BackupSecretKey},
		Recipients: s.BackupRecipients, IdentityFile: s.BackupIdentityFile, Keep: keep, KeepDeleted: keepDeleted,
		Every: every, PgDump: s.BackupPgDump,
	}
	if s.JWTSecretKey == "" && strings.HasPrefix(s.DatabaseURL, sqliteScheme) {
		all.TokenKeyFile = secretPath(s.DatabaseURL)
	}
	return all
}

func (s *settings) checkBackups(wrong mistakes) {
	place, err := parsePlace(s.BackupURL)
	wrong.add("BACKUP_URL", err)
	wrong.add("BACKUP_ACCESS_KEY", checkKey(s.BackupAccessKey, place))
	wrong.add("BACKUP_SECRET_KEY", checkKey(s.BackupSecretKey, place))
	if place.IsRemote() && len(s.BackupRecipients) == 0 {
		wrong.add("BACKUP_RECIPIENTS", errors.New("must be set, because BACKUP_URL is a bucket: nothing leaves unencrypted"))
	}
	wrong.add("BACKUP_RECIPIENTS", checkEach(s.BackupRecipients, func(text string) error {
		_, err := archive.ParseRecipient(text)
		return err
	}))
	wrong.add("BACKUP_IDENTITY_FILE", checkFile(s.BackupIdentityFile))
	_, err = parseKeep(s.BackupKeep)
	wrong.add("BACKUP_KEEP", err)
	_, err = parseKeepDeleted(s.BackupKeepDeleted)
	wrong.add("BACKUP_KEEP_DELETED", err)
	every, err := parseEvery(s.BackupEvery)
	if every > 0 && s.BackupURL == "" {
		err = errors.New("must not be set without BACKUP_URL")
	}
	wrong.add("BACKUP_EVERY", err)
	wrong.add("BACKUP_PG_DUMP", s.checkPgDump())
}

// checkPgDump refuses a program that is not there. Its version is compared with the server's
// before each backup.
func (s *settings) checkPgDump() error {
	switch {
	case s.BackupPgDump == "":
		return nil
	case s.BackupURL == "":
		return errors.New("must not be set without BACKUP_URL")
	case strings.HasPrefix(s.DatabaseURL, sqliteScheme):
		return errors.New("must not be set with SQLite, whose backups have everything")
	}
	if _, err := exec.LookPath(s.BackupPgDump); err != nil {
		return errors.New("must be the program pg_dump, by its name or its path: install PostgreSQL's client programs")
	}
	return nil
}

// parseKeep reads what is kept; all, where nothing is said.
func parseKeep(text string) (retention.Policy, error) {
	if text == "" {
		return retention.Policy{}, nil
	}
	return retention.Parse(text)
}

// parseKeepDeleted reads for how many days the backups of deleted tenants are kept.
func parseKeepDeleted(text string) (time.Duration, error) {
	number, isDays := strings.CutSuffix(text, "d")
	days, err := strconv.ParseUint(number, 10, 16)
	if err != nil || !isDays || days < 1 || days > maxKeepDeletedDays {
		return 0, fmt.Errorf("must be a number of days between 1d and %dd, such as 30d", maxKeepDeletedDays)
	}
	return time.Duration(days) * day, nil
}

// parseEvery reads how often servers make backups; never, where nothing is said.
func parseEvery(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < minEvery || every > maxEvery {
		return 0, errors.New("must be a time between 1m and 8760h, such as 24h")
	}
	return every, nil
}

// parsePlace reads the URL of the place; none for no URL.
func parsePlace(text string) (store.Place, error) {
	if text == "" {
		return store.Place{}, nil
	}
	return store.ParseURL(text)
}

// checkKey refuses half of what is needed for a bucket, and what cannot be a key.
func checkKey(key string, place store.Place) error {
	if key == "" && place.IsRemote() {
		return errors.New("must be set, because BACKUP_URL is a bucket")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must be letters, digits and signs, without spaces")
	}
	return nil
}

// checkFile refuses a file that is not there. A command reads it later.
func checkFile(path string) error {
	if path == "" {
		return nil
	}
	found, err := os.Stat(path)
	if err != nil || !found.Mode().IsRegular() {
		return errors.New("must be a file")
	}
	return nil
}
