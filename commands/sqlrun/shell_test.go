package sqlrun_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"multitenant/commands/sqlrun"
	"multitenant/database"
)

func TestMissingProgramIsNamed(t *testing.T) {
	t.Parallel()
	client := &database.Client{Program: "no-such-program", Package: "no-such-package"}

	_, err := sqlrun.Run(t.Context(), client, nil, nil, sqlrun.Streams{In: strings.NewReader("")})

	require.EqualError(t, err, "no-such-program was not found: install it, for example by the package no-such-package, or use `tenants exec`")
}
