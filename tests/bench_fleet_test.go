package tests_test

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// samples is how often something is timed that takes long, and quickSamples what
// does not.
const (
	samples      = 20
	quickSamples = 2000
)

// BenchmarkFleet makes fleets of FLEET_SIZES tenants (10, unless it says
// otherwise) and measures what they cost. Each measurement is one run:
//
//	FLEET_SIZES=10,100,1000 go test -run '^$' -bench Fleet -benchtime 1x -timeout 1h ./tests
func BenchmarkFleet(b *testing.B) {
	if flag.Lookup("test.benchtime").Value.String() != "1x" {
		b.Skip("a fleet is made once: run with -benchtime 1x")
	}
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		for _, size := range sizes(b, "FLEET_SIZES", "10") {
			b.Run(fmt.Sprintf("%s/N=%d", engine, size), func(b *testing.B) {
				settings := freshFleet(b, engine)
				settings.Quiet, settings.Database.MaxConnections = true, 40
				measureFleet(b, settings, size)
			})
		}
	}
}

// freshFleet is testkit.Fresh on a server that goes with its databases: to drop
// a thousand takes longer than to measure them.
func freshFleet(b *testing.B, engine testkit.Engine) testkit.Settings {
	b.Helper()
	if engine == testkit.Postgres {
		return onCluster(b, pgtest.Start(b))
	}
	return testkit.Fresh(b, engine)
}

// sizes are the numbers that a variable of the environment lists.
func sizes(b *testing.B, variable, otherwise string) (numbers []int) {
	b.Helper()
	for text := range strings.SplitSeq(cmp.Or(os.Getenv(variable), otherwise), ",") {
		number, err := strconv.Atoi(text)
		require.NoError(b, err, variable)
		numbers = append(numbers, number)
	}
	return numbers
}

func measureFleet(b *testing.B, settings testkit.Settings, size int) {
	b.Helper()
	app := testkit.Start(b, settings)
	owner := app.Token("", "ada@example.com")
	b.Run("create", func(b *testing.B) { createFleet(b, app.For(b), owner, size) })
	tokens := make([]string, min(size, 200))
	for i := range tokens {
		tokens[i] = app.TokenOf(fleetSlug(i), "ada@example.com")
	}
	app.Close()
	b.Run("create-bare", func(b *testing.B) { createBare(b, settings) })
	b.Run("create-spare", func(b *testing.B) { createFromSpares(b, settings, owner) })
	b.Run("requests", func(b *testing.B) { requestFleet(b, settings, tokens) })
	b.Run("migrate-nothing", func(b *testing.B) { migrateFleet(b, settings) })
	b.Run("migrate", func(b *testing.B) { migrateFleet(b, nextRelease(settings, createTable(notesID, "notes"))) })
	b.Run("migrate-by-psql", func(b *testing.B) { migrateByPsql(b, settings, size) })
}

func fleetSlug(i int) string { return fmt.Sprintf("tenant-%d", i) }

// createFleet makes organizations one after the other, without spares.
func createFleet(b *testing.B, app *testkit.App, owner string, size int) {
	b.Helper()
	took := make([]time.Duration, size)
	for i := range took {
		took[i] = app.Time(testkit.Creation(owner, fleetSlug(i)), http.StatusOK)
	}
	report(b, "create", took)
}

// createBare makes empty databases and nothing else: the least that a tenant
// can cost.
func createBare(b *testing.B, settings testkit.Settings) {
	b.Helper()
	if settings.Engine == testkit.SQLite {
		b.Skip("a file takes no time")
	}
	core := settings.SQL(b, settings.CoreName())
	core.SetMaxIdleConns(1)
	took := make([]time.Duration, samples)
	for i := range took {
		begun := time.Now()
		_, err := core.ExecContext(b.Context(), fmt.Sprintf("CREATE DATABASE bare_%s%d TEMPLATE template0", settings.Database.TenantPrefix, i))
		took[i] = time.Since(begun)
		require.NoError(b, err)
	}
	core.SetMaxIdleConns(0)
	report(b, "bare", took)
}

// createFromSpares makes organizations when a spare is ready for each.
func createFromSpares(b *testing.B, settings testkit.Settings, owner string) {
	b.Helper()
	settings.Spares = 2
	app := testkit.Start(b, settings)
	took := make([]time.Duration, samples)
	for i := range took {
		awaitSpares(b, &settings)
		took[i] = app.Time(testkit.Creation(owner, fmt.Sprintf("spared-%d", i)), http.StatusOK)
	}
	awaitSpares(b, &settings)
	app.Close()
	report(b, "spare", took)
}

// requestFleet asks each tenant once, which opens it, and then at random; and
// counts what the open ones cost this process.
func requestFleet(b *testing.B, settings testkit.Settings, tokens []string) {
	b.Helper()
	app := testkit.Start(b, settings)
	memory, files := footprint(b)
	cold := make([]time.Duration, len(tokens))
	for i, token := range tokens {
		cold[i] = app.Time(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: token}, http.StatusOK)
	}
	moreMemory, moreFiles := footprint(b)
	hot := make([]time.Duration, quickSamples)
	for i := range hot {
		hot[i] = app.Time(testkit.Request{Method: http.MethodGet, Path: profilePath, Token: tokens[i%min(len(tokens), 10)]}, http.StatusOK)
	}
	app.Close()
	report(b, "cold", cold)
	report(b, "hot", hot)
	open := float64(len(tokens))
	b.ReportMetric((moreMemory-memory)/1024/open, "KiB/tenant")
	b.ReportMetric((moreFiles-files)/open, "files/tenant")
}

// footprint is the memory and the open files that this process needs.
func footprint(b *testing.B) (memory, files float64) {
	b.Helper()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Log("open files are not counted here: ", err)
	}
	return float64(stats.HeapAlloc + stats.StackInuse), float64(len(entries))
}

func migrateFleet(b *testing.B, settings testkit.Settings) {
	b.Helper()
	begun := time.Now()
	settings.Command(b, "migrate", "--parallel", "4").RequireCode(b, 0)
	report(b, "migrate", []time.Duration{time.Since(begun)})
}

// migrateByPsql makes the same table as migrateFleet by the shell's means.
func migrateByPsql(b *testing.B, settings testkit.Settings, size int) {
	b.Helper()
	psql, err := exec.LookPath("psql")
	if err != nil || settings.Engine == testkit.SQLite {
		b.Skip("without psql, or on SQLite")
	}
	begun := time.Now()
	for i := range size {
		address := replaceDatabase(b, settings.Database.URL, settings.DatabaseName(fleetSlug(i)))
		command := exec.CommandContext(b.Context(), psql, "--no-psqlrc", "--quiet", "--command=CREATE TABLE by_psql (id integer)", address)
		output, err := command.CombinedOutput()
		require.NoError(b, err, string(output))
	}
	report(b, "psql", []time.Duration{time.Since(begun)})
}

// report prints the median and the 99th percentile in milliseconds.
func report(b *testing.B, name string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // not what this is about
	b.ReportMetric(milliseconds(took[len(took)/2]), name+"-p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), name+"-p99-ms")
}

// reportRatio prints the ratio of the medians. report has sorted both.
func reportRatio(b *testing.B, took, reference []time.Duration) {
	b.Helper()
	b.ReportMetric(float64(took[len(took)/2])/float64(reference[len(reference)/2]), "ratio")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
