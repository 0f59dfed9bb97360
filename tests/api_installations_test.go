package tests_test

import (
	"fmt"
	"testing"

	"multitenant/tests/testkit"
)

// TestTokensNameTheirInstallation: another one with the same key refuses them, even if
// it has a session of the same number and family. A replica takes them.
func TestTokensNameTheirInstallation(t *testing.T) {
	testkit.EachLentCore(t, func(t *testing.T, settings testkit.Settings) {
		here, there := testkit.Start(t, settings), testkit.Start(t, testkit.Fresh(t, settings.Engine))
		alice, bob := here.Token("", "alice@example.com"), there.Token("", "bob@example.com")
		session := sessionOf(t, alice)
		there.Settings.Exec(t, there.Settings.CoreName(),
			fmt.Sprintf("UPDATE sessions SET family_hash = '%s' WHERE id = %d", session.FamilyHash, session.ID))

		for _, path := range []string{profilePath, organizationsPath} {
			there.Get(path, alice).RequireProblem(there, 401, "invalid_token", "Could not validate credentials")
		}
		here.Get(profilePath, bob).RequireProblem(here, 401, "invalid_token", "Could not validate credentials")
		requireLives(t, testkit.Start(t, settings), tokens{access: alice})
	})
}
