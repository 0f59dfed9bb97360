package tests_test

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"

	"multitenant/tests/pgtest"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // hundreds of applications in one process: memory for time
	goleak.VerifyTestMain(pgtest.Main{M: m})
}
