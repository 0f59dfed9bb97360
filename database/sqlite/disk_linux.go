package sqlite

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// minFreeBytes stay free for existing databases: creation stops before the disk is
// full.
const minFreeBytes = 64 << 20

// requireSpace fails with ENOSPC when the disk of the folder is nearly full.
func requireSpace(folder string) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < minFreeBytes { //nolint:gosec // a block has a positive size
		return fmt.Errorf("%w: %d bytes are free, %d are kept", unix.ENOSPC, free, minFreeBytes)
	}
	return nil
}
