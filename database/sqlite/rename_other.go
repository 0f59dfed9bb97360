//go:build !linux

package sqlite

func renameNoReplace(from, to string) error { return renameChecked(from, to) }
