package onlinetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Server is a redis-server that a test started.
type Server struct {
	Addr string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Redis returns the address of a real Redis: WEIR_TEST_REDIS_ADDR as it is where it
// is set (keys are not removed there; tests use projects of their own), else a
// redis-server started for the test. It skips where there is neither.
func Redis(t testing.TB) string {
	if a := os.Getenv("WEIR_TEST_REDIS_ADDR"); a != "" {
		return a
	}
	return StartRedis(t).Addr
}

// StartRedis starts a redis-server with more arguments ("--appendonly", "yes").
// It is killed when the test ends. Skips where redis-server is not installed.
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("SKIP(redis-server absent): install redis-server, or set WEIR_TEST_REDIS_ADDR")
	}
	s := &Server{t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	for try := 0; ; try++ {
		s.Addr = freeAddr(t)
		if err := s.Start(); err == nil {
			return s
		} else if try == 4 { // another process may take the port between finding and using it
			t.Fatal(err)
		}
	}
}

func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Start starts the server, again after Kill, with the data it left in its folder.
func (s *Server) Start() error {
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "",
		"--logfile", filepath.Join(s.dir, "log"), "--daemonize", "no"}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	cmd := s.cmd
	go func() { done <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer func() { _ = c.Close() }()
	for c.Ping(ctx).Err() != nil {
		select {
		case err := <-done:
			return fmt.Errorf("redis-server ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("redis-server on %s does not answer", s.Addr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Kill ends the server as a crash does.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		s.cmd = nil
	}
}

// Stop and Continue freeze and thaw the server: it holds its connections and answers nothing.
func (s *Server) Stop()     { _ = s.cmd.Process.Signal(stopSignal) }
func (s *Server) Continue() { _ = s.cmd.Process.Signal(contSignal) }
