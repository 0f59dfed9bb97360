package libpq_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/database/postgres/libpq"
)

func TestVariables(t *testing.T) {
	t.Parallel()

	parameters, err := libpq.Parameters("postgres://app:p%40ss@a:5432,b:5433/core?sslmode=verify-full&sslcrl=%2Fcrl&application_name=mine&user=x")

	require.NoError(t, err)
	require.Equal(t, map[string]string{"PGSSLMODE": "verify-full", "PGSSLCRL": "/crl"}, libpq.Variables(parameters))
	for _, plain := range []string{"postgres://app@host/core", "postgres://", ""} {
		parameters, err := libpq.Parameters(plain)
		require.NoError(t, err, plain)
		require.Empty(t, libpq.Variables(parameters), plain)
	}
	_, err = libpq.Parameters("postgres://app:secret@host/core?sslmode=%")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}
