package tests_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkStart tells how long the program takes, with all defaults, from its start in an
// empty folder to its first answer that it is ready, and how much memory it has then.
func BenchmarkStart(b *testing.B) {
	binary := buildProgram(b)
	memory := 0.0
	for b.Loop() {
		b.StopTimer()
		address, free := takePort(b)
		free()
		server := exec.CommandContext(b.Context(), binary)
		server.Dir, server.Env = b.TempDir(), []string{"HTTP_ADDR=" + address}
		b.StartTimer()

		require.NoError(b, server.Start())
		awaitReady(b, "http://"+address+"/ready")

		b.StopTimer()
		memory += residentMB(server.Process.Pid)
		require.NoError(b, server.Process.Kill())
		require.Error(b, server.Wait(), "it was killed")
		b.StartTimer()
	}
	b.ReportMetric(memory/float64(b.N), "MB")
}

// awaitReady asks again at once where testkit.Await pauses, which would be measured, too.
func awaitReady(b *testing.B, url string) {
	b.Helper()
	waiting, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(waiting, http.MethodGet, url, http.NoBody)
		require.NoError(b, err)
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			require.NoError(b, answer.Body.Close())
			require.Equal(b, http.StatusOK, answer.StatusCode)
			return
		}
		require.NoError(b, waiting.Err())
	}
}

// residentMB is 0 where the machine does not tell it.
func residentMB(process int) float64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(process) + "/status")
	if err != nil {
		return 0
	}
	kilobytes := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if kilobytes == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(kilobytes[1]), 64) // it matches
	return n / 1024
}
