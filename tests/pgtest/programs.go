package pgtest

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// programs is the folder of a PostgreSQL server's programs.
type programs string

// findPrograms prefers the server on PATH, so that a caller can choose the
// version, to the newest that Debian's packages have installed.
func findPrograms() (programs, error) {
	for _, dir := range append(onPath(), installed()...) {
		if programs(dir).complete() {
			return programs(dir), nil
		}
	}
	return "", ErrNotInstalled
}

// onPath returns where initdb is, and where it really is: on PATH it may be a
// lone link.
func onPath() []string {
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return nil
	}
	target, err := filepath.EvalSymlinks(initdb)
	if err != nil {
		return nil
	}
	return []string{filepath.Dir(target), filepath.Dir(initdb)}
}

// installed returns the folders of Debian's packages, the newest first.
func installed() []string {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil
	}
	version := func(dir string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	return dirs
}

func (p programs) path(name string) string {
	return filepath.Join(string(p), name)
}

func (p programs) complete() bool {
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		if _, err := exec.LookPath(p.path(name)); err != nil {
			return false
		}
	}
	return true
}
