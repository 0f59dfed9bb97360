package tests_test

import (
	"testing"

	"go.uber.org/goleak"

	"multitenant/tests/pgtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main{M: m})
}
