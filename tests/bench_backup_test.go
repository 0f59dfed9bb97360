package tests_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"multitenant/tenants"
	"multitenant/tests/pgtest"
	"multitenant/tests/testkit"
)

// rounds is how often this program and PostgreSQL's do the same in turns, or a tenant is
// restored in place: BACKUP_ROUNDS, or once.
func rounds(b *testing.B) int {
	b.Helper()
	return sizes(b, "BACKUP_ROUNDS", "1")[0]
}

// pauseWatch is longer than a server takes to notice that a database was replaced.
const pauseWatch = 3 * time.Second

// BenchmarkBackup backs up, verifies and restores a tenant of BACKUP_MEGABYTES (10, unless
// it says otherwise), encrypted, in turns with pg_dump -Fc and pg_restore. Each command is
// run whole, with its connections.
//
//	BACKUP_MEGABYTES=10,100 BACKUP_ROUNDS=5 go test -run '^$' -bench 'Backup$' -benchtime 1x -timeout 1h ./tests
func BenchmarkBackup(b *testing.B) {
	requireOnce(b)
	for _, program := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Skipf("%s is missing", program)
		}
	}
	settings := onCluster(b, pgtest.Start(b))
	for _, size := range sizes(b, "BACKUP_MEGABYTES", "10") {
		b.Run(fmt.Sprintf("MB=%d", size), func(b *testing.B) { compareBackups(b, settings, size) })
	}
}

func requireOnce(b *testing.B) {
	b.Helper()
	if flag.Lookup("test.benchtime").Value.String() != "1x" {
		b.Skip("it repeats what it measures: run with -benchtime 1x")
	}
}

func compareBackups(b *testing.B, settings testkit.Settings, size int) {
	b.Helper()
	slug := fmt.Sprintf("acme-%d", size)
	settings.Command(b, "migrate").RequireCode(b, 0)
	settings.Command(b, "tenants", "create", slug).RequireCode(b, 0)
	database := testkit.Scalar[string](b, &settings, settings.CoreName(), "SELECT database_name FROM tenants WHERE slug = '"+slug+"'")
	fillTenant(b, &settings, database, size)
	dump := filepath.Join(b.TempDir(), "dump")
	tool := toolOf(b, settings.Admin)
	identity := newIdentity(b)
	settings.Variables = map[string]string{
		"BACKUP_RECIPIENTS": identity.Recipient().String(), "BACKUP_IDENTITY_FILE": identityFile(b, identity),
	}
	took := map[string][]time.Duration{}
	measure := func(name string, work func()) {
		begun := time.Now()
		work()
		took[name] = append(took[name], time.Since(begun))
	}
	command := func(arguments ...string) func() {
		return func() { settings.Command(b, arguments...).RequireCode(b, 0) }
	}
	for i := range rounds(b) {
		folder, copied := b.TempDir(), fmt.Sprintf("%s-%d", slug, i)
		settings.Variables["BACKUP_URL"] = "file://" + folder
		restored := fmt.Sprintf("elsewhere_%d_%d", size, i)
		inTurns(i, func() {
			measure("backup", command("backup", "run", "--tenant", slug))
			measure("verify", command("backup", "verify"))
			measure("restore", command("tenants", "restore", slug, "--as", copied, "--yes"))
		}, func() {
			measure("pg_dump", func() { tool("pg_dump", "-Fc", "-f", dump, "-d", database) })
			measure("pg_restore-to-null", func() { tool("pg_restore", "-f", "/dev/null", dump) })
			measure("pg_restore", func() {
				settings.Administer(b, "CREATE DATABASE "+restored)
				tool("pg_restore", "-1", "--no-owner", "--no-privileges", "-d", restored, dump)
			})
		})
		reportSize(b, folder, "backup")
		command("tenants", "delete", copied, "--yes", "--without-backup")()
		settings.Administer(b, "DROP DATABASE "+restored)
	}
	reportSize(b, filepath.Dir(dump), "dump")
	for name, times := range took {
		reportMedian(b, name, times)
	}
}

// inTurns does both, and each second time in the other order.
func inTurns(i int, one, other func()) {
	if i%2 == 1 {
		one, other = other, one
	}
	one()
	other()
}

// fillTenant adds users until the database has that many megabytes.
func fillTenant(b *testing.B, settings *testkit.Settings, database string, megabytes int) {
	b.Helper()
	for first := 1000; ; first += 10_000 {
		settings.Exec(b, database, fmt.Sprintf(`INSERT INTO tenant_users (id, email, email_canonical, hashed_password, full_name, is_active, role, bio, created_at)
			SELECT n, n || '@example.com', n || '@example.com', '$2a$12$' || md5(n::text) || md5((n + 1)::text), 'User ' || n, true, 'member',
			'A user of number ' || n || ' with ' || md5((n * 7)::text), now() FROM generate_series(%d, %d) AS n`, first, first+9999))
		if testkit.Scalar[int](b, settings, database, "SELECT (pg_database_size(current_database()) / 1000000)::int") >= megabytes {
			settings.Exec(b, database, "SELECT setval('tenant_users_id_seq', (SELECT max(id) FROM tenant_users))")
			return
		}
	}
}

// toolOf runs programs of PostgreSQL as the superuser of a server.
func toolOf(b *testing.B, server string) func(name string, arguments ...string) {
	b.Helper()
	address, err := url.Parse(server)
	require.NoError(b, err)
	password, _ := address.User.Password()
	environment := append(os.Environ(), "PGHOST="+address.Hostname(), "PGPORT="+address.Port(),
		"PGUSER="+address.User.Username(), "PGPASSWORD="+password)
	return func(name string, arguments ...string) {
		command := exec.CommandContext(b.Context(), name, arguments...)
		command.Env = environment
		output, err := command.CombinedOutput()
		require.NoError(b, err, string(output))
	}
}

// reportSize reports how large the files in a folder are together.
func reportSize(b *testing.B, folder, name string) {
	b.Helper()
	var total int64
	require.NoError(b, filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found, err := entry.Info()
		if err == nil {
			total += found.Size()
		}
		return err
	}))
	b.ReportMetric(float64(total)/1e6, name+"-MB")
}

// reportMedian reports the median and the worst.
func reportMedian(b *testing.B, name string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // not what this is about
	b.ReportMetric(took[len(took)/2].Seconds(), name+"-s")
	b.ReportMetric(took[len(took)-1].Seconds(), name+"-max-s")
}

// BenchmarkBackupFleet backs up BACKUP_TENANTS small tenants (20, unless it says otherwise).
//
//	BACKUP_TENANTS=200,1000 go test -run '^$' -bench BackupFleet -benchtime 1x -timeout 1h ./tests
func BenchmarkBackupFleet(b *testing.B) {
	requireOnce(b)
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		for _, size := range sizes(b, "BACKUP_TENANTS", "20") {
			b.Run(fmt.Sprintf("%s/N=%d", engine, size), func(b *testing.B) {
				settings := freshFleet(b, engine)
				settings.Quiet, settings.Database.MaxConnections = true, 40
				app := testkit.Start(b, settings)
				fleetOf(app, "acme")
				app.Close()
				withoutRole(b, &settings)
				settings.CopyTenant(b, "acme", "ada@example.com", size-1)
				identity := newIdentity(b)
				settings.Variables = map[string]string{
					"BACKUP_URL": "file://" + b.TempDir(), "BACKUP_RECIPIENTS": identity.Recipient().String(),
				}
				begun := time.Now()
				outcome := settings.Command(b, "backup", "run").RequireCode(b, 0)
				took := time.Since(begun)
				require.Contains(b, outcome.Stdout, fmt.Sprintf("backups: %d complete", size+2))
				b.ReportMetric(0, "ns/op") // not what this is about
				b.ReportMetric(took.Seconds(), "backup-s")
			})
		}
	}
}

// withoutRole takes the rights of its role from acme: the role of a copy would be another.
func withoutRole(b *testing.B, settings *testkit.Settings) {
	b.Helper()
	if settings.Engine == testkit.SQLite {
		return
	}
	role := testkit.Scalar[string](b, settings, settings.CoreName(), "SELECT role FROM tenants WHERE slug = 'acme'")
	settings.Exec(b, settings.DatabaseName("acme"), "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "+role,
		"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "+role)
}

// BenchmarkRestorePause restores a tenant in place while two clients of each of two servers
// write to it, and measures the longest time in which a client had nothing acknowledged; the
// same while nothing is restored, which is the machine's own part; and the time of the
// switch alone.
//
//	BACKUP_ROUNDS=7 go test -run '^$' -bench RestorePause -benchtime 1x ./tests
func BenchmarkRestorePause(b *testing.B) {
	requireOnce(b)
	for _, engine := range []testkit.Engine{testkit.SQLite, testkit.Postgres} {
		b.Run(string(engine), func(b *testing.B) {
			settings := freshFleet(b, engine)
			settings.Quiet = true
			settings.Variables = map[string]string{"BACKUP_URL": "file://" + b.TempDir()}
			first, second := testkit.StartProcess(b, settings), testkit.StartProcess(b, settings)
			fleetOf(first.App, "acme")
			settings.Command(b, "backup", "run").RequireCode(b, 0)
			var fenced atomic.Pointer[time.Time]
			settings.OnStep = func(step tenants.Step) {
				if now := time.Now(); step == tenants.StepFenced {
					fenced.Store(&now)
				}
			}
			n := rounds(b)
			pauses, quiet, switches := make([]time.Duration, n), make([]time.Duration, n), make([]time.Duration, n)
			for i := range pauses {
				end := watchPauses(first.App, second.App)
				<-time.After(pauseWatch)
				quiet[i], end = end(), watchPauses(first.App, second.App)
				settings.Command(b, "tenants", "restore", "acme", "--in-place", "--yes").RequireCode(b, 0)
				switches[i] = time.Since(*fenced.Load())
				<-time.After(pauseWatch)
				pauses[i] = end()
			}
			reportMedian(b, "pause", pauses)
			reportMedian(b, "quiet", quiet)
			reportMedian(b, "switch", switches)
		})
	}
}

// watchPauses registers users of acme until end, which returns the longest time in which a
// client had nothing acknowledged.
func watchPauses(apps ...*testkit.App) (end func() time.Duration) {
	var stop atomic.Bool
	var work sync.WaitGroup
	longest := make([]time.Duration, 2*len(apps))
	for i := range longest {
		work.Go(func() {
			for last, n := time.Now(), 0; !stop.Load(); n++ {
				email := fmt.Sprintf("%d-%d-%d@example.com", last.UnixNano(), i, n)
				if apps[i%len(apps)].Register("acme", email).Code != http.StatusOK {
					<-time.After(breath)
					continue
				}
				now := time.Now()
				longest[i], last = max(longest[i], now.Sub(last)), now
			}
		})
	}
	return func() time.Duration {
		stop.Store(true)
		work.Wait()
		return slices.Max(longest)
	}
}
