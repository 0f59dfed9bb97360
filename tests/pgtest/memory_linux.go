package pgtest

import "golang.org/x/sys/unix"

// roomInMemory is how much a file system in memory must have free to take a
// cluster, in bytes: a thousand tenants, the most that a test makes, are 8 GB.
const roomInMemory = 12 << 30

// clusterFolder is the parent of clusters' folders: a file system in memory
// where there is room. Every database is some 300 files, which disks make slowly.
func clusterFolder() string {
	const folder = "/dev/shm"
	var found unix.Statfs_t
	if unix.Statfs(folder, &found) != nil || found.Bavail*uint64(found.Bsize) < roomInMemory { //nolint:gosec // a block has a positive size
		return "" // that of temporary files
	}
	return folder
}
