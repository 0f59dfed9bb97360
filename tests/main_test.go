package tests_test

import (
	"flag"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// breath is how long clients that never stop asking leave the processor to others.
const breath = 5 * time.Millisecond

// atOnce is how many tests run at once for each processor: many of them wait.
const atOnce = 4

func TestMain(m *testing.M) {
	flag.Parse()
	isChosen := false
	flag.Visit(func(f *flag.Flag) { isChosen = isChosen || f.Name == "test.parallel" })
	if !isChosen {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce*runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	debug.SetGCPercent(400) // hundreds of applications in one process: memory for time
	goleak.VerifyTestMain(pgtest.Main{M: testkit.Main{M: m}})
}
