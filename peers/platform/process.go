package platform

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a program with all that it starts: a process group of its own.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// run starts a program with its output behind what log already has.
func run(t testing.TB, name, log, dir string, env []string, args ...string) *process {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{t: t, name: name, cmd: exec.Command(args[0], args[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, f, f
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	DieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// stop asks the group to end, and after a while makes it.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
	}
	p.kill() // also what the program left behind
}

// kill ends the group without notice.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// tail is the end of what the program said.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.log)
	if n := len(b) - 6000; n > 0 {
		b = b[n:]
	}
	return p.name + " said at the end:\n" + string(bytes.TrimSpace(b))
}

// await calls ready until it returns nil; a program of ps that ends before ends the test.
func await(t testing.TB, within time.Duration, ps []*process, what string, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		for _, p := range ps {
			select {
			case <-p.done:
				t.Fatalf("%s ended while %s was awaited; %s", p.name, what, p.tail())
			default:
			}
		}
		select {
		case <-ctx.Done():
			for _, p := range ps {
				t.Log(p.tail())
			}
			t.Fatalf("%s: not within %s: %v", what, within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freePort is a port of 127.0.0.1 that nothing listens on at the moment. It lies below those
// that the system gives to clients, so that a server which was stopped can come back to it.
func freePort(t testing.TB) int {
	t.Helper()
	for try := range 1000 {
		port := 15000 + (os.Getpid()*37+try*101+int(time.Now().UnixNano()))%17000
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// folder is where a server keeps what it has: given, or of the test.
func folder(t testing.TB, dir string) string {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
