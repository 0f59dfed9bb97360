//go:build !linux

package database

func renameNoReplace(from, to string) error { return renameChecked(from, to) }
