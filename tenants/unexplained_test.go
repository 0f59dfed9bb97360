package tenants_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
	"multitenant/database/connect"
	"multitenant/tenants"
)

// A warning about each unexplained thing is logged once, and not each minute.
func TestTheUnexplainedIsReportedOnce(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	backend, err := connect.Open(t.Context(), database.Options{URL: "sqlite://" + filepath.Join(folder, "core.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	require.NoError(t, tenants.MigrateCore(t.Context(), backend, "t_"))
	var log bytes.Buffer
	m, err := tenants.Open(t.Context(), tenants.Options{
		Backend: backend, DatabasePrefix: "t_", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	m.Report(t.Context())
	require.Empty(t, log.String())

	for i, name := range []string{"t_acme", "t_globex"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".db"), nil, 0o600))
		for range 2 {
			m.Report(t.Context())
			require.Equal(t, i+1, strings.Count(log.String(), "level=WARN"), log.String())
			require.Contains(t, log.String(), "kind=database name="+name)
		}
	}
}
