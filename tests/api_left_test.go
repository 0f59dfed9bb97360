package tests_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"multitenant/tests/testkit"
)

// TestACallerLeavesBeforeTheCommit: the transaction is rolled back before the server
// commits it. Nothing is changed, and that is no fault of the server.
func TestACallerLeavesBeforeTheCommit(t *testing.T) {
	const organization = "/api/organizations/acme"
	testkit.Each(t, func(t *testing.T, app *testkit.App) {
		token := app.Token("", "ada@example.com")
		app.Organization(token, "acme")
		ctx, leave := context.WithCancel(t.Context())
		armed := leaveBeforeCommit(t, app.Tenants.Core(), leave)
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, app.URL+organization, strings.NewReader(`{"is_active": false}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		armed.Store(true)

		answer, err := http.DefaultClient.Do(request)

		if err == nil {
			require.NoError(t, answer.Body.Close())
		}
		require.ErrorIs(t, err, context.Canceled)
		line := regexp.MustCompile(`msg=request .*method=PUT.*`)
		testkit.Await(t, patience, func() error {
			if !line.MatchString(app.Log.String()) {
				return errors.New("the request is not in the log")
			}
			return nil
		})
		logged := line.FindString(app.Log.String())
		require.Contains(t, logged, "status=503")
		require.Contains(t, logged, sql.ErrTxDone.Error(), "not what this test is about")
		require.Equal(t, true, app.Get(organization, token).Object(app)["is_active"])
	})
}

// leaveBeforeCommit has the caller leave after the last statement of a transaction,
// once it is armed, and lets the transaction go on when it was rolled back.
func leaveBeforeCommit(t *testing.T, db *gorm.DB, leave func()) *atomic.Bool {
	t.Helper()
	var armed atomic.Bool
	err := db.Callback().Create().After("gorm:create").Register("leave", func(tx *gorm.DB) {
		if tx.Statement.Table != "audit_events" || !armed.CompareAndSwap(true, false) {
			return
		}
		leave()
		testkit.Await(t, patience, func() error {
			_, err := tx.Statement.ConnPool.ExecContext(context.WithoutCancel(t.Context()), "SELECT 1")
			if errors.Is(err, sql.ErrTxDone) {
				return nil
			}
			return errors.New("the transaction lives")
		})
	})
	require.NoError(t, err)
	return &armed
}
