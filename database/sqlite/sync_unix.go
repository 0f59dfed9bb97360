//go:build !windows

package sqlite

import (
	"errors"
	"os"
)

// syncFolder makes new names in a folder survive a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the data folder
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
