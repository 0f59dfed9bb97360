package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDatabaseURLIsNormalized(t *testing.T) {
	t.Parallel()
	cases := []struct{ raw, want string }{
		{"sqlite://data/core.db", "sqlite://data/core.db"},
		{"sqlite:///var/lib/app/core.db", "sqlite:///var/lib/app/core.db"},
		{"postgres://u:p@h/db", "postgres://u:p@h/db"},
		{"postgresql://u:p@h:5433/db?sslmode=require", "postgres://u:p@h:5433/db?sslmode=require"},
		{"postgresql+asyncpg://u:p@h/db", "postgres://u:p@h/db"},
		{"postgresql+psycopg://u:p@h/db", "postgres://u:p@h/db"},
		{"postgresql+psycopg2://u:p@h/db", "postgres://u:p@h/db"},
		{"postgres+asyncpg://u@h/db", "postgres://u@h/db"},
		{"postgresql+asyncpg://h/db", "postgres://h/db"},
		{"postgresql+asyncpg://u:p@h/db?ssl=require", "postgres://u:p@h/db?ssl=require"},
		{"postgresql+asyncpg://u:p@h/db?a=b&ssl=disable", "postgres://u:p@h/db?a=b&ssl=disable"},
		{"postgresql+asyncpg://u:a/b#c?d:e@h/db", "postgres://u:a%2Fb%23c%3Fd%3Ae@h/db"},
		{"postgresql+asyncpg://u:100%@h/db", "postgres://u:100%25@h/db"},
		{"postgresql+asyncpg://u:p%40ss@h/db", "postgres://u:p%40ss@h/db"},
		{"postgresql+asyncpg://h/db?application_name=a@b", "postgres://h/db?application_name=a@b"},
		{"postgres:///db?host=/run/postgresql", "postgres:///db?host=/run/postgresql"},
		{"postgres://u:p@h1:5432,h2:5433/db", "postgres://u:p@h1:5432,h2:5433/db"},
		{"postgres://u:p@[::1]:5432/db", "postgres://u:p@[::1]:5432/db"},
		{"postgres://u:p@[::1]:5432,[::2]:5433/db", "postgres://u:p@[::1]:5432,[::2]:5433/db"},
		{"postgres://u:p@%2Frun%2Fpostgresql:5433,h/db", "postgres://u:p@%2Frun%2Fpostgresql:5433,h/db"},
		{"postgres://u:p@/db?service=core", "postgres://u:p@/db?service=core"},
		{"postgresql://?service=core", "postgres://?service=core"},
	}
	for _, tc := range cases {
		t.Run(tc.raw, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, environ{"DATABASE_URL": tc.raw})
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Database.URL)
		})
	}
}

func TestDatabaseURLNeedNameNoHostOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PGHOST", "PGSERVICE"} {
		got, err := load(t, environ{name: "there", "DATABASE_URL": "postgres:///db", "TENANT_DATABASE_URL": "postgres://?sslmode=require"})
		require.NoError(t, err)
		require.Equal(t, "postgres:///db", got.Database.URL)
		require.Equal(t, "postgres://?sslmode=require", got.Database.TenantURL)
	}
}

func TestDatabaseURLIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"hunter2",
		"data/hunter2.db",
		"sqlite:hunter2.db",
		"sqlite://",
		"sqlite://hunter2/",
		"sqlite://:memory:",
		"sqlite://hunter2.db?mode=memory",
		"sqlite+aiosqlite://hunter2.db",
		"mysql://root:hunter2@h/db",
		"POSTGRES://u:hunter2@h/db",
		"postgresql+pg8000://u:hunter2@h/db",
		"postgresql+://u:hunter2@h/db",
		"postgres://u:hunter2#@h/db",
		"postgres://u:hunter2%@h/db",
		"postgres://u:hunter2@h:port/db",
		"postgres://u:hunter2@h,h:port/db",
		"postgres://u:hunter2@[::1,h/db",
		"postgres://u:hunter2@/db",
		"postgres://",
	} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, environ{"DATABASE_URL": raw})
			require.ErrorContains(t, err, "DATABASE_URL: ")
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestTenantDatabaseURLIsNormalized(t *testing.T) {
	t.Parallel()
	cases := []struct{ raw, want string }{
		{"", ""},
		{"postgres://pooler:6432", "postgres://pooler:6432"},
		{"postgresql://pooler:6432/?sslmode=require", "postgres://pooler:6432/?sslmode=require"},
		{"postgresql+asyncpg://u:100%@h?ssl=require", "postgres://u:100%25@h?ssl=require"},
		{"postgres:///?host=/run/pgbouncer", "postgres:///?host=/run/pgbouncer"},
	}
	for _, tc := range cases {
		t.Run(tc.raw, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, environ{"DATABASE_URL": "postgres://u:p@h/db", "TENANT_DATABASE_URL": tc.raw})
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Database.TenantURL)
		})
	}
}

func TestTenantDatabaseURLIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	const core = "postgres://u:p@h/db"
	cases := []struct{ core, raw, want string }{
		{"sqlite://data/core.db", "postgres://hunter2:6432", "is for PostgreSQL, and DATABASE_URL names a file of SQLite"},
		{core, "sqlite://hunter2.db", "must be a URL such as postgres://host:6432"},
		{core, "hunter2:6432", "must be a URL such as postgres://host:6432"},
		{core, "mysql://hunter2/", "must be a URL such as postgres://host:6432"},
		{core, "postgres:///hunter2", "must name a host"},
		{core, "postgres://u:hunter2#@h/", "is not a valid URL: special characters in a password must be percent-encoded"},
	}
	for _, tc := range cases {
		t.Run(tc.raw, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, environ{"DATABASE_URL": tc.core, "TENANT_DATABASE_URL": tc.raw})
			require.EqualError(t, err, "TENANT_DATABASE_URL: "+tc.want)
		})
	}
}
