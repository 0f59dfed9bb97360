package tests_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// Doctor notes tenants that have no backup, or whose newest is not proven. That is no
// failure, and neither is a store that does not answer.
func TestDoctorNotesBackups(t *testing.T) {
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		folder := keepBackups(t, &settings, nil)
		fleetOf(testkit.Start(t, settings), "acme", "globex")
		doctor := func(arguments ...string) string {
			return settings.Command(t, append([]string{"tenants", "doctor"}, arguments...)...).RequireCode(t, 0).Stdout
		}
		settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
		before := doctor()
		settings.Command(t, "backup", "verify").RequireCode(t, 0)
		settings.Command(t, "backup", "run", "--tenant", "globex").RequireCode(t, 0)
		after := doctor()

		require.Regexp(t, `backup_unproven +acme +noted`, before)
		require.Regexp(t, `backup_missing +globex +noted`, before)
		require.NotContains(t, after, "acme")
		require.Regexp(t, `backup_unproven +globex +noted`, after)
		require.Equal(t, "nothing is wrong\n", doctor("--tenant", "acme"))
		require.Contains(t, doctor("--tenant", "globex", "--json"), `"backup_unproven"`)
		require.NoError(t, os.RemoveAll(folder))
		gone := settings.Command(t, "tenants", "doctor").RequireCode(t, 0)
		require.NotEmpty(t, gone.Stderr+gone.Stdout)
		settings.Variables = nil
		require.Equal(t, "nothing is wrong\n", doctor())
	})
}
