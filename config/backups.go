package config

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"multitenant/backups/archive"
	"multitenant/backups/retention"
)

// Backups are the settings of backups.
type Backups struct {
	Folder       string // where they are kept; empty means that there are none
	Recipients   []string
	IdentityFile string
	Keep         retention.Policy // zero means that all are kept
	// TokenKeyFile is where the token key is kept on SQLite, if no setting has it.
	TokenKeyFile string
}

// backups may be called only on settings without mistakes.
func (s *settings) backups() Backups {
	folder, _ := folderOf(s.BackupURL) // it has been checked
	keep, _ := parseKeep(s.BackupKeep)
	all := Backups{Folder: folder, Recipients: s.BackupRecipients, IdentityFile: s.BackupIdentityFile, Keep: keep}
	if s.JWTSecretKey == "" && strings.HasPrefix(s.DatabaseURL, sqliteScheme) {
		all.TokenKeyFile = secretPath(s.DatabaseURL)
	}
	return all
}

func (s *settings) checkBackups(wrong mistakes) {
	_, err := folderOf(s.BackupURL)
	wrong.add("BACKUP_URL", err)
	wrong.add("BACKUP_RECIPIENTS", checkEach(s.BackupRecipients, func(text string) error {
		_, err := archive.ParseRecipient(text)
		return err
	}))
	wrong.add("BACKUP_IDENTITY_FILE", checkFile(s.BackupIdentityFile))
	_, err = parseKeep(s.BackupKeep)
	wrong.add("BACKUP_KEEP", err)
}

// parseKeep reads what is kept; all, where nothing is said.
func parseKeep(text string) (retention.Policy, error) {
	if text == "" {
		return retention.Policy{}, nil
	}
	return retention.Parse(text)
}

// folderOf returns the folder that a URL of backups names; none for no URL.
func folderOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	parsed, err := url.Parse(text)
	isFolder := err == nil && parsed.Scheme == "file" && parsed.Host == "" && strings.HasPrefix(parsed.Path, "/") &&
		parsed.RawQuery == "" && parsed.Fragment == ""
	if !isFolder {
		return "", errors.New("must be file:// and the absolute path of a folder, such as file:///var/backups/multitenant")
	}
	return filepath.FromSlash(parsed.Path), nil
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
