package tests_test

import (
	"crypto/rand"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

const (
	// referenceRows is how many tenants the registry has that others are compared with.
	referenceRows = 100
	// ticksPerSecond is the unit of processor time in /proc.
	ticksPerSecond = 100
)

// BenchmarkGrowth measures a server whose registry has GROWTH_ROWS tenants (1000, unless it
// says otherwise), which have no databases: an organization made from a spare, in turns with
// one at a server whose registry has 100, and for GROWTH_IDLE seconds a replica without
// requests.
//
//	GROWTH_ROWS=1000,10000,100000,1000000 GROWTH_IDLE=60 go test -run '^$' -bench Growth -benchtime 1x -timeout 2h ./tests
func BenchmarkGrowth(b *testing.B) {
	if flag.Lookup("test.benchtime").Value.String() != "1x" {
		b.Skip("a registry is filled once: run with -benchtime 1x")
	}
	b.Run(string(testkit.SQLite), func(b *testing.B) {
		measureGrowth(b, func() testkit.Settings { return testkit.Fresh(b, testkit.SQLite) })
	})
	b.Run(string(testkit.Postgres), func(b *testing.B) {
		cluster := pgtest.Start(b)
		measureGrowth(b, func() testkit.Settings { return onCluster(b, cluster) })
	})
}

func measureGrowth(b *testing.B, fresh func() testkit.Settings) {
	b.Helper()
	filled := func(rows int) testkit.Settings {
		settings := fresh()
		settings.Quiet, settings.Spares = true, 2
		testkit.Start(b, settings).Close()
		fillRegistry(b, &settings, rows)
		return settings
	}
	reference := filled(referenceRows)
	for _, rows := range sizes(b, "GROWTH_ROWS", "1000") {
		settings := filled(rows)
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			comparePairs(b, &reference, &settings)
			measureIdle(b, &settings)
		})
	}
}

// comparePairs makes organizations from spares at two servers in turns.
func comparePairs(b *testing.B, reference, grown *testkit.Settings) {
	b.Helper()
	few, many := startOwned(b, reference), startOwned(b, grown)
	fast, took := make([]time.Duration, growthPairs), make([]time.Duration, growthPairs)
	for i := range took {
		if i%2 == 0 {
			fast[i], took[i] = few.create(b), many.create(b)
		} else {
			took[i], fast[i] = many.create(b), few.create(b)
		}
	}
	few.Close()
	many.Close()
	report(b, "reference", fast)
	report(b, "create", took)
	reportRatio(b, took, fast)
}

// growthPairs is how many pairs are compared.
const growthPairs = 30

// ownedServer is a server in a process of its own, and a user of its core.
type ownedServer struct {
	*testkit.Process

	owner string
}

func startOwned(b *testing.B, settings *testkit.Settings) *ownedServer {
	b.Helper()
	s := &ownedServer{Process: testkit.StartProcess(b, *settings)}
	s.owner = s.Token("", strings.ToLower(rand.Text())+"@example.com")
	return s
}

// create makes an organization once there are spares.
func (s *ownedServer) create(b *testing.B) time.Duration {
	b.Helper()
	awaitSpares(b, &s.Settings)
	slug := strings.ToLower(rand.Text())
	return s.Time(testkit.Creation(s.owner, slug), http.StatusOK)
}

// measureIdle measures the memory of a replica without requests, and its processor time
// since it began to serve.
func measureIdle(b *testing.B, settings *testkit.Settings) {
	b.Helper()
	replica := testkit.StartProcess(b, *settings)
	before := processorTime(b, replica.ID())
	idle := time.Duration(sizes(b, "GROWTH_IDLE", "5")[0]) * time.Second
	<-time.After(idle)
	b.ReportMetric((processorTime(b, replica.ID())-before).Seconds()/idle.Minutes(), "idle-cpu-s/min")
	b.ReportMetric(residentMemory(b, replica.ID()), "idle-MB")
	replica.Close()
}

// processorTime is the time that a process has spent on the processors.
func processorTime(b *testing.B, id int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	require.NoError(b, err)
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before it may have spaces
	fields := strings.Fields(rest)
	ticks := 0
	for _, field := range fields[11:13] { // in user mode, and in the kernel
		spent, err := strconv.Atoi(field)
		require.NoError(b, err)
		ticks += spent
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// residentMemory is the memory of a process in MB.
func residentMemory(b *testing.B, id int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	require.NoError(b, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(b, found)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(b, err)
	return float64(kib) / 1024
}
