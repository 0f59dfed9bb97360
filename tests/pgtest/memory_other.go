//go:build !linux

package pgtest

// clusterFolder is the folder of temporary files.
func clusterFolder() string { return "" }
