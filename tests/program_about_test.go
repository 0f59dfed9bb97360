package tests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/stretchr/testify/require"

	"multitenant/database/migrations"
	"multitenant/tests/testkit"
)

// Both ways to ask for help give the same, and a group without a command lists its commands.
func TestHelpIsACommand(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	help := func(command string) string {
		outcome := settings.Command(t, strings.Fields(command)...).RequireCode(t, 0)
		require.Empty(t, outcome.Stderr)
		return outcome.Stdout
	}
	for _, path := range []string{"", "tenants", "tenants list", "migrate", "migrate run", "help"} {
		require.Equal(t, help(path+" --help"), help("help "+path), path)
		require.NotContains(t, help("help "+path), "__complete")
	}
	require.Contains(t, help("help"), "\n  tenants list ")
	for _, group := range []string{"tenants", "users", "backup", "operations", "audit"} {
		require.Equal(t, help(group+" --help"), help(group))
	}
	require.NotContains(t, help("migrate list"), "Usage:")

	wrong := settings.Command(t, "help", "tenants", "lst").RequireCode(t, 2)
	require.Equal(t, "error: unexpected argument lst\nhint: did you mean \"list\"?\n", wrong.Stderr)
	require.Empty(t, wrong.Stdout)
	require.NoDirExists(t, settings.Folder())
}

// An error has a hint on the next step, where one is known.
func TestErrorsHaveHints(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Command(t, "migrate").RequireCode(t, 0)
	settings.Command(t, "tenants", "create", "acme").RequireCode(t, 0)
	unreachable, wrong, taken, keeping := settings, settings, settings, settings
	folder := t.TempDir()
	keeping.Variables = map[string]string{"BACKUP_URL": "file://" + folder}
	unreachable.Database.URL = "postgres://ada:lovelace@127.0.0.1:1/core"
	wrong.Variables = map[string]string{"LOG_LEVEL": "loud"}
	port, _ := takePort(t)
	taken.Variables = map[string]string{"HTTP_ADDR": port, "GOGC": "100"} // serve would set the whole test's
	for _, tc := range []struct {
		settings *testkit.Settings
		command  string
		hint     string
		code     int
	}{
		{&settings, "srve", `did you mean "serve"?`, 2},
		{&settings, "tenants lst", `did you mean "list"?`, 2},
		{&settings, "doctor", `did you mean "tenants doctor"?`, 2},
		{&settings, "migrate statsu", `did you mean "status"?`, 2},
		{&settings, "migrate --paralle 2", `did you mean "--parallel"?`, 2},
		{&settings, "migrate --nope", "`multitenant migrate --help` explains it", 2},
		{&settings, "tenants quux", "`multitenant tenants --help` explains it", 2},
		{&settings, "quux", "`multitenant --help` explains it", 2},
		{&settings, "tenants show", "`multitenant tenants show --help` explains it", 2},
		{&settings, "tenants show nobody", "`multitenant tenants list` lists the tenants", 1},
		{&settings, "users list --tenant nobody", "`multitenant tenants list` lists the tenants", 1},
		{&settings, "users reset-password nobody@example.com", "`multitenant users list` lists the users", 1},
		{&settings, "tenants create acme --owner nobody@example.com", "`multitenant users create` makes one", 1},
		{&settings, "operations show none", "`multitenant operations list` lists", 1},
		{&settings, "migrate rollback --to none", "`multitenant migrate list` lists the migrations", 1},
		{&settings, "backup list", "BACKUP_URL says where", 1},
		{&keeping, "backup prune", "BACKUP_KEEP says which backups are kept", 1},
		{&keeping, "tenants restore acme --yes", "`multitenant backup list` lists the backups", 1},
		{&keeping, "backup verify", "`multitenant backup run` makes them", 1},
		{&settings, "tenants export acme " + folder, "choose a name that no file has", 1},
		{&settings, "tenants delete acme", "--yes agrees to", 2},
		{&settings, "healthcheck", "", 1},
		{&unreachable, "tenants list", "DATABASE_URL says where core is", 1},
		{&wrong, "tenants list", "set them in the environment or in .env.local", 1},
		{&taken, "serve", "HTTP_ADDR says where the API listens", 1},
	} {
		outcome := tc.settings.Command(t, strings.Fields(tc.command)...).RequireCode(t, tc.code)
		require.True(t, strings.HasPrefix(outcome.Stderr, "error: "), outcome.Stderr)
		require.Equal(t, tc.hint != "", strings.Contains(outcome.Stderr, "\nhint: "), outcome.Stderr)
		require.Contains(t, outcome.Stderr, tc.hint, tc.command)
		require.NotContains(t, outcome.Stderr, "lovelace")
		require.NotContains(t, outcome.Stderr, "\x1b")
		require.NotContains(t, outcome.Stdout, "hint")
	}
}

func TestMigrationsAreListedWithoutADatabase(t *testing.T) {
	t.Parallel()
	settings := testkit.Fresh(t, testkit.SQLite)
	settings.Variables = map[string]string{"LOG_LEVEL": "loud"} // nor does it need settings
	type migration struct {
		ID         string `json:"id"`
		Database   string `json:"database"`
		Does       string `json:"does"`
		Reversible bool   `json:"reversible"`
	}
	listed := testkit.Decode[[]migration](t, settings.Command(t, "migrate", "list", "--json").RequireCode(t, 0))
	ids := make([]string, 0, len(listed))
	for _, one := range listed {
		ids = append(ids, one.ID)
		require.NotEmpty(t, one.Does)
		require.Equal(t, one.Database == "tenant", one.Reversible, one.ID)
	}
	var known []string
	for _, all := range [][]*gormigrate.Migration{migrations.Core(""), migrations.Tenant()} {
		for _, one := range all {
			known = append(known, one.ID)
		}
	}
	require.Equal(t, known, ids)
	require.Equal(t, "core", listed[0].Database)
	require.Regexp(t, `(?m)^tenant +202611290210_create_tenant_tables +create tenant tables +yes$`, settings.Command(t, "migrate", "list").Stdout)
	require.NoDirExists(t, settings.Folder())
}

// completeIn runs a script in a shell in which the program is called multitenant.
func completeIn(t *testing.T, shell, script string) string {
	t.Helper()
	requirePrograms(t, shell)
	folder := t.TempDir()
	program := filepath.Join(folder, "multitenant")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+testkit.CommandLine()+"\n"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "export.zip"), nil, 0o600))
	command := exec.CommandContext(t.Context(), shell, "-c", script)
	command.Dir, command.Env = folder, append(os.Environ(), "HOME="+folder, "PATH="+folder+":"+os.Getenv("PATH"))
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

func TestBashCompletes(t *testing.T) {
	t.Parallel()
	said := completeIn(t, "bash", `set -eu
compopt() { echo "compopt $*"; }
source <(multitenant completion bash)
complete -p multitenant
try() {
	COMP_WORDS=(multitenant "$@") COMP_CWORD=$#
	_multitenant multitenant
	echo "$* -> ${COMPREPLY[*]-}"
}
try oper
try tenants is
try help backup restore-
try migrate --par
try migrate --parallel 2 --dry
try users create --role ""
try users create --role = o
try __comp
try --tenant x
try backup verify --level ""
try completion ""
try tenants show ""
try tenants import exp`)
	require.Equal(t, `complete -F _multitenant multitenant
oper -> operations
tenants is -> isolation
help backup restore- -> restore-fleet
migrate --par -> --parallel
migrate --parallel 2 --dry -> --dry-run
users create --role  -> owner admin member
users create --role = o -> owner
__comp -> 
--tenant x -> 
backup verify --level  -> 1 2 3
completion  -> bash zsh fish
tenants show  -> 
compopt -o default
tenants import exp -> 
`, said)
}

// The functions of zsh that show the matches are stood in for.
func TestZshCompletes(t *testing.T) {
	t.Parallel()
	said := completeIn(t, "zsh", `set -e
compdef() { print -- "compdef $*" }
_describe() { print -l -- $found }
_files() { print files }
multitenant completion zsh >script
zsh -n script
source ./script
try() {
	words=(multitenant "$@") CURRENT=$(($# + 1))
	_multitenant
}
try tenants is
try users create --role=o
try tenants import exp`)
	require.Equal(t, `compdef _multitenant multitenant
isolation:Try to cross from tenant to tenant.
--role=owner:--role=owner
files
`, said)
}

func TestFishCompletes(t *testing.T) {
	t.Parallel()
	said := completeIn(t, "fish", `multitenant completion fish >script
fish --no-execute script; or exit 1
source script
for line in 'tenants is' 'users create --role=o' 'users create --role ' 'tenants import exp' 'tenants show '
	complete -C "multitenant $line"
end`)
	require.Equal(t, "isolation\tTry to cross from tenant to tenant.\n--role=owner\nadmin\nmember\nowner\nexport.zip\n", said)
}

// saysWhichItIs asks a program whose number the linker has set.
func saysWhichItIs(t *testing.T, binary string) {
	t.Helper()
	folder := t.TempDir()
	require.Equal(t, "multitenant v1.2.3\n", operate(t, binary, folder, "--version").RequireCode(t, 0).Stdout)
	text := operate(t, binary, folder, "version").RequireCode(t, 0)
	require.Regexp(t, `^version +v1\.2\.3\ncommit +\S.*\ncommitted +\S+\ngo +`+runtime.Version()+`\nplatform +`+runtime.GOOS+`/`+runtime.GOARCH+`\n$`, text.Stdout)
	said := testkit.Decode[struct {
		Version     string  `json:"version"`
		Commit      string  `json:"commit"`
		CommittedAt *string `json:"committed_at"`
		Modified    bool    `json:"modified"`
		Go          string  `json:"go"`
		Platform    string  `json:"platform"`
	}](t, operate(t, binary, folder, "version", "--json").RequireCode(t, 0))
	require.Equal(t, "v1.2.3", said.Version)
	require.Equal(t, said.Commit == "", said.CommittedAt == nil)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
}
