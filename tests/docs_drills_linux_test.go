package tests_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"multitenant/tests/testkit"
)

// drills are the sections of docs/operating.md that have commands, in an order in which they
// can be followed, each with a check of its outcome.
func drills() []struct {
	heading string
	follow  func(*testing.T, *operator)
} {
	return []struct {
		heading string
		follow  func(*testing.T, *operator)
	}{
		{"Backups", drillBackups},
		{"Restore one tenant beside", drillBeside},
		{"Restore one tenant in place", drillInPlace},
		{"One tenant at one moment", drillMoment},
		{"Undo a deletion", drillDeletion},
		{"A lost database", drillLostDatabase},
		{"A customer asks for their data", drillExport},
		{"Exports by owners", drillExportByOwner},
		{"Things made by hand", drillByHand},
		{"SQL in tenants", drillSQL},
		{"A lost server", drillLostServer},
		{"Lost everything", drillLostEverything},
		{"A customer leaves", drillLeaving},
	}
}

// Every section of the operator's page with commands is followed by TestDrills.
func TestDrillsAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	known := make([]string, len(drills()))
	for i, drill := range drills() {
		known[i] = drill.heading
	}
	var found []string
	for heading, text := range sections(t) {
		if strings.Contains(text, "```bash\n") {
			found = append(found, heading)
		}
	}
	require.ElementsMatch(t, found, known)
}

// The drills of docs/operating.md work as they are written.
func TestDrills(t *testing.T) {
	requirePrograms(t, "bash", "curl")
	testkit.EachEngine(t, func(t *testing.T, settings testkit.Settings) {
		o := newOperator(t, &settings)
		o.app = testkit.Start(t, settings)
		o.owner = fleetOf(o.app, "acme", "globex")
		o.app.Register("acme", "grace@example.com")
		for _, drill := range drills() {
			drill.follow(t, o)
		}
	})
}

func drillBackups(t *testing.T, o *operator) {
	t.Helper()
	seen := o.follow(t, "Backups", 0)
	require.Contains(t, seen, "backups: 4 complete, 0 incomplete, 0 skipped, 0 failed, 0 left\n")
	require.Contains(t, seen, "backups: 4 whole, 0 not\n")
	_, err := age.ParseX25519Identity(strings.TrimSpace(string(o.read(t, "identity.txt"))))
	require.NoError(t, err)
}

func (o *operator) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(o.folder, name))
	require.NoError(t, err)
	return content
}

// loseGrace removes a user by mistake.
func (o *operator) loseGrace(t *testing.T) {
	t.Helper()
	o.settings.Exec(t, databaseNow(t, o.settings), "DELETE FROM sessions", "DELETE FROM tenant_users WHERE email = 'grace@example.com'")
}

// requireLost requires that grace cannot log in to acme, and that the owner can.
func (o *operator) requireLost(t *testing.T) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error { // SQLite reads the registry every 2 seconds
		if answer := o.app.Login("acme", "grace@example.com"); answer.Code != http.StatusUnauthorized {
			return fmt.Errorf("%d %s", answer.Code, answer.Raw)
		}
		return nil
	})
	requireWhole(t, o.app, "acme")
}

func drillBeside(t *testing.T, o *operator) {
	t.Helper()
	o.loseGrace(t)
	require.Contains(t, o.follow(t, "Restore one tenant beside", 0), "acme-old")
	o.requireLost(t)
	awaitLogin(t, o.app, "acme-old", "grace@example.com")
	o.settings.Command(t, "tenants", "delete", "acme-old", "--without-backup", "--yes").RequireCode(t, 0)
	o.settings.Command(t, "tenants", "release", "acme-old").RequireCode(t, 0)
}

func drillInPlace(t *testing.T, o *operator) {
	t.Helper()
	require.Contains(t, o.follow(t, "Restore one tenant in place", 0), "grace@example.com")
	awaitLogin(t, o.app, "acme", "grace@example.com")
	o.follow(t, "Restore one tenant in place", 1)
	o.requireLost(t)
	o.follow(t, "Restore one tenant in place", 1)
	awaitLogin(t, o.app, "acme", "grace@example.com")
}

func drillMoment(t *testing.T, o *operator) {
	t.Helper()
	if o.settings.Engine == testkit.SQLite {
		o.settings.Exec(t, databaseNow(t, o.settings), "VACUUM INTO '"+filepath.Join(o.folder, "moment.db")+"'")
	} else {
		// A database that is copied as a template may have no sessions.
		o.settings.Administer(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+databaseNow(t, o.settings)+"'")
		then := restoreElsewhere(t, o.settings, "acme")
		o.places["postgres://postgres@10.0.0.9/multitenant_acme?sslmode=require"] = then.flags[1]
	}
	o.loseGrace(t)
	o.follow(t, "One tenant at one moment", 0)
	o.requireLost(t)
	awaitLogin(t, o.app, "acme-old", "grace@example.com")
}

func drillDeletion(t *testing.T, o *operator) {
	t.Helper()
	id := backedUpID(t, o.settings, "acme")
	answer := o.app.Delete("/api/organizations/acme", o.owner)
	require.Contains(t, []int{http.StatusNoContent, http.StatusAccepted}, answer.Code, answer.Raw)
	testkit.Await(t, time.Minute, func() error {
		if o.settings.Command(t, "tenants", "show", "acme").Code == 0 {
			return errors.New("acme is still there")
		}
		return nil
	})
	require.Contains(t, o.follow(t, "Undo a deletion", 0), id)
	awaitLogin(t, o.app, "acme", "ada@example.com")
	require.Equal(t, id, backedUpID(t, o.settings, "acme"))
	o.requireLost(t)
}

func drillLostDatabase(t *testing.T, o *operator) {
	t.Helper()
	o.settings.Command(t, "backup", "run", "--tenant", "acme").RequireCode(t, 0)
	id := backedUpID(t, o.settings, "acme")
	o.settings.DropDatabase(t, databaseNow(t, o.settings))
	o.settings.Command(t, "tenants", "restore", "acme", "--in-place", "--yes").RequireCode(t, 1)
	o.follow(t, "A lost database", 0) // doctor would fail if it found more than notes
	require.Equal(t, id, backedUpID(t, o.settings, "acme"))
	awaitLogin(t, o.app, "acme", "ada@example.com")
	require.Equal(t, http.StatusOK, o.app.Get("/api/organizations/acme", o.owner).Code)
}

func drillLostServer(t *testing.T, o *operator) {
	t.Helper()
	token := o.app.TokenOf("acme", "ada@example.com")
	o.app.Close()
	shell, seen := o.start(t, "A lost server", 0)
	next := testkit.Attach(t, "")
	testkit.Await(t, time.Minute, func() error {
		found := serving().FindStringSubmatch(seen())
		if found == nil {
			return errors.New(seen())
		}
		next.URL = found[1]
		return nil
	})
	require.Equal(t, http.StatusOK, next.Get("/api/users/me", token).Code)
	require.NoError(t, syscall.Kill(-shell.Process.Pid, syscall.SIGTERM))
	require.NoError(t, shell.Wait(), seen())
}

func drillLostEverything(t *testing.T, o *operator) {
	t.Helper()
	o.settings.Command(t, "backup", "run").RequireCode(t, 0)
	acme, globex := backedUpID(t, o.settings, "acme"), backedUpID(t, o.settings, "globex")
	place := loseAll(t, o.settings)
	o.settings = &place
	o.follow(t, "Lost everything", 0)
	require.Equal(t, acme, backedUpID(t, &place, "acme"))
	require.Equal(t, globex, backedUpID(t, &place, "globex"))
	place.RequireTidy(t)
	o.app = testkit.Start(t, place)
	requireWhole(t, o.app, "acme")
}

// awaitLogin waits until a user can log in.
func awaitLogin(t *testing.T, app *testkit.App, slug, email string) {
	t.Helper()
	testkit.Await(t, time.Minute, func() error {
		if login := app.Login(slug, email); login.Code != http.StatusOK {
			return errors.New(login.Raw)
		}
		return nil
	})
}
