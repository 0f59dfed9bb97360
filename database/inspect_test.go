package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database"
)

func TestListNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	for engine, freshURL := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			url := freshURL(t)
			b := open(t, url)
			name := makeDatabase(t, b, lock(t, b, "k"))
			want := database.Inventory{Databases: []string{name}}
			if engine == "sqlite" {
				for _, file := range []string{name + "gone.db-wal", name + "gone.db.bak", name + ".db-shm", "other.db-wal"} {
					require.NoError(t, os.WriteFile(filepath.Join(folderOf(url), file), nil, 0o600))
				}
				want.Files = []string{name + "gone.db-wal"}
			}

			found, err := b.List(t.Context(), name[:len(name)-1])

			require.NoError(t, err)
			require.Equal(t, want, found)
			found, err = b.List(t.Context(), "core") // is no tenant's, however it is called
			require.NoError(t, err)
			if engine == "sqlite" {
				require.Empty(t, found.Databases)
			}
		})
	}
}
