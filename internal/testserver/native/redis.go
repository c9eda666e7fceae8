package native

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Redis is a redis-server. Stop, Kill, Pause and Resume are its Process'.
type Redis struct {
	*Process
	Addr string
	path string
	args []string
	dir  string
}

// StartRedis runs redis-server with its files in dir, without persistence
// unless args say so ("--appendonly", "yes").
func StartRedis(ctx context.Context, dir string, args ...string) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server is %w (Debian: redis-server)", ErrAbsent)
	}
	return startRedis(ctx, path, dir, args...)
}

// ValkeyVersion is the Valkey that scripts/setup-test.sh fetches.
const ValkeyVersion = "9.1.2"

// ValkeyHome is the folder that scripts/setup-test.sh puts it into.
func ValkeyHome() string { return filepath.Join(cacheHome(), "valkey-"+ValkeyVersion) }

// StartValkey is StartRedis with Valkey.
func StartValkey(ctx context.Context, dir string, args ...string) (*Redis, error) {
	path := filepath.Join(ValkeyHome(), "valkey-server")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("valkey-server is %w in %s (run scripts/setup-test.sh)", ErrAbsent, ValkeyHome())
	}
	return startRedis(ctx, path, dir, args...)
}

func startRedis(ctx context.Context, path, dir string, args ...string) (*Redis, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), path: path, dir: dir}
	r.args = append([]string{
		"--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
		"--save", "", "--appendonly", "no",
	}, args...)
	return r, r.Start(ctx)
}

// StartSentinel runs a sentinel that watches the server at addr, host:port, under a name.
// quorum sentinels decide that the server is gone, when it has not answered for half a second.
func StartSentinel(ctx context.Context, dir, name, addr string, quorum int) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server is %w (Debian: redis-server)", ErrAbsent)
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "sentinel.conf") // which the sentinel rewrites
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s %d\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 5000\n",
		ports[0], dir, name, host, port, quorum, name, name)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	r := &Redis{Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), path: path, dir: dir, args: []string{conf, "--sentinel"}}
	return r, r.Start(ctx)
}

// Start runs a stopped server again, on the same port.
func (r *Redis) Start(ctx context.Context) error {
	p, err := start(exec.Command(r.path, r.args...), filepath.Join(r.dir, "redis.log"), syscall.SIGTERM)
	if err != nil {
		return err
	}
	r.Process = p
	return p.await(ctx, func(ctx context.Context) error { return Dial(ctx, r.Addr) })
}

// Forget has a server that does not run lose the last bytes of what it kept with
// "--appendonly yes", or with all everything: what a crash of the machine may do.
func (r *Redis) Forget(bytes int64, all bool) error {
	dir := filepath.Join(r.dir, "appendonlydir")
	if all {
		return os.RemoveAll(dir)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.incr.aof"))
	if err != nil || len(logs) == 0 {
		return fmt.Errorf("no append-only file in %s", dir)
	}
	last, size := "", int64(0)
	for _, l := range logs {
		if st, err := os.Stat(l); err == nil && st.Size() >= size {
			last, size = l, st.Size()
		}
	}
	return os.Truncate(last, max(0, size-bytes))
}
