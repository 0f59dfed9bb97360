// Package version says which program this is.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"time"
)

// number is set by the linker where a release is built:
// -ldflags "-X multitenant/version.number=v1.2.3".
var number string

// Build says how the program was made, as far as that is known.
type Build struct {
	Number      string    // such as v1.2.3; (devel) or empty where it was not made from a release
	Commit      string    // empty where the program was made without Git
	CommittedAt time.Time // zero likewise
	IsModified  bool      // there were changes that are in no commit
	Go          string    // the version of Go
	Platform    string    // such as linux/amd64
}

// Read returns the facts that the linker has left in the program.
func Read() Build {
	build := Build{Number: number, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Number = cmp.Or(number, info.Main.Version)
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build.Commit = setting.Value
		case "vcs.time":
			build.CommittedAt, _ = time.Parse(time.RFC3339, setting.Value) // zero where it is no time
		case "vcs.modified":
			build.IsModified = setting.Value == "true"
		}
	}
	return build
}
