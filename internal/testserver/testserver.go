package testserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-ml/weir/internal/testserver/native"
)

// startWithin bounds the start of a server on a busy machine.
const startWithin = 3 * time.Minute

// Main runs the tests, stops what they shared, and exits.
func Main(m *testing.M) {
	process.mu.Lock()
	process.active = true
	process.mu.Unlock()
	code := m.Run()
	process.close()
	os.Exit(code)
}

// process holds what the tests of one process share. The state belongs to the
// process, like the children that it counts.
var process shared

type shared struct {
	mu      sync.Mutex
	active  bool // Main runs, and will clean up
	kafka   *KafkaServer
	s3      *native.S3
	cleanup []func()
}

// later has f called when the process' tests are over. The caller holds mu.
func (s *shared) later(f func()) { s.cleanup = append(s.cleanup, f) }

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.cleanup) - 1; i >= 0; i-- {
		s.cleanup[i]()
	}
	s.cleanup = nil
}

// absent ends a test that needs a server which cannot be had.
func absent(t testing.TB, server string, why error) {
	t.Helper()
	if os.Getenv("WEIR_TEST_REQUIRE") == "1" {
		t.Fatalf("%s absent, and WEIR_TEST_REQUIRE=1: %v", server, why)
	}
	t.Skipf("SKIP(%s absent): %v", server, strings.ReplaceAll(why.Error(), "\n", " "))
}

// tempDir is a folder for a server's files. Not t.TempDir: PostgreSQL's
// unprivileged user must be able to reach it, and paths stay short.
func tempDir(t testing.TB, later func(func())) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		t.Fatal(err)
	}
	later(func() { os.RemoveAll(dir) })
	return dir
}

func nativeOnly() bool { return os.Getenv("WEIR_TEST_NATIVE") == "1" }

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// Name is a new name for a topic, a project or a group, with the test's own in
// it: lower-case letters, digits and _, at most 60 characters.
func Name(t testing.TB) string {
	s := strings.Trim(unfit.ReplaceAllString(strings.ToLower(t.Name()), "_"), "_")
	if len(s) > 40 {
		s = s[:40]
	}
	var r [6]byte
	_, _ = rand.Read(r[:])
	return s + "_" + hex.EncodeToString(r[:])
}

// starting is the context for the start of a server. It does not end with the
// test: a shared server outlives the test that started it.
func starting(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	t.Cleanup(cancel)
	return ctx
}

// child is a native server that stops and starts.
type child interface {
	Start(context.Context) error // again, after Stop or Kill: same address, same data
	Stop()
	Kill()
	Pause()
	Resume()
}

// control is the part of KafkaServer and RedisServer that stops and starts.
type control struct {
	child child // nil where the server is not the test's own
}

// Stop ends the server in good order.
func (c *control) Stop(t testing.TB) { c.own(t).Stop() }

// Kill ends the server without notice.
func (c *control) Kill(t testing.TB) { c.own(t).Kill() }

// Pause freezes the server: connections stay open and nothing answers.
func (c *control) Pause(t testing.TB) { c.own(t).Pause() }

// Resume lets a paused server go on.
func (c *control) Resume(t testing.TB) { c.own(t).Resume() }

// Start runs a stopped server again, at the same address and with the data it kept.
func (c *control) Start(t testing.TB) {
	t.Helper()
	if err := c.own(t).Start(starting(t)); err != nil {
		t.Fatal(err)
	}
}

func (c *control) own(t testing.TB) child {
	t.Helper()
	if c.child == nil {
		t.Fatal("other tests may use this server: ask for one with OwnKafka, OwnRedis, OwnPostgres or OwnS3")
	}
	return c.child
}
