package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrAbsent means that a program is not installed; the text says which and what
// would install it.
var ErrAbsent = errors.New("not installed")

// Process is one child, from its start to its end.
type Process struct {
	cmd  *exec.Cmd
	log  string // file with what it printed
	term syscall.Signal
	done chan struct{} // closed when it has ended
	err  error         // how it ended; set before done is closed
}

// start runs cmd with its output in log. term asks it to end.
//
// The kernel ends the child when the thread that made it ends, so that thread
// belongs to the child from here on.
func start(cmd *exec.Cmd, log string, term syscall.Signal) (*Process, error) {
	closeInherited()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) // what it said before it was killed stays
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	dieWithParent(cmd)
	p := &Process{cmd: cmd, log: log, term: term, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// closeInherited keeps descriptors that came with this process, like a lock
// that a shell holds, from being passed on to a server.
var closeInherited = sync.OnceFunc(func() {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
})

// Stop asks the child to end, and after a while makes it.
func (p *Process) Stop() {
	p.Resume()
	p.cmd.Process.Signal(p.term)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.Kill()
	}
}

// Kill ends the child without notice.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Pause freezes the child: connections stay open and nothing answers.
func (p *Process) Pause() { p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused child go on.
func (p *Process) Resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// Running reports whether the child has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// await calls ready until it returns nil, the child ends, or ctx does.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := ready(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended at its start: %w; it said:\n%s", filepath.Base(p.cmd.Path), p.err, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; it said:\n%s", filepath.Base(p.cmd.Path), err, p.Tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Tail is the end of what the child printed, in all its runs. Of lines that repeat
// what the one before says the first stands for all: a broker that waits for
// another says so twenty times a second.
func (p *Process) Tail() string {
	b, _ := os.ReadFile(p.log)
	b = onceEach(bytes.TrimSpace(b))
	const most = 6000
	if len(b) > most {
		b = append([]byte("... "), b[len(b)-most:]...)
	}
	return string(b)
}

// onceEach puts a number in place of lines that are like the one before but for
// their first word, which is the time.
func onceEach(text []byte) []byte {
	var out, last []byte
	again := 0
	told := func() {
		if again > 0 {
			out = fmt.Appendf(out, "(and %d more times)\n", again)
		}
		again = 0
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		_, said, timed := bytes.Cut(line, []byte(" "))
		if timed && bytes.Equal(said, last) {
			again++
			continue
		}
		told()
		out, last = append(append(out, line...), '\n'), said
	}
	told()
	return bytes.TrimSpace(out)
}

// FreePorts returns n ports of 127.0.0.1 that nothing listens on at the moment,
// below those that the system gives to clients and to listeners that take any: a client
// that tries to reach a server which was killed may be given that server's own port
// to call from, talk to itself, and the server cannot come back; nor can it where another
// package's test has been given the port meanwhile.
func FreePorts(n int) ([]int, error) {
	const lowest, highest = 15000, 32000
	var ports []int
	var last error
	for try := 0; len(ports) < n; try++ {
		if try == 1000 {
			return nil, fmt.Errorf("no free port from %d to %d: %w", lowest, highest, last)
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest-lowest))))
		if err != nil {
			last = err
			continue
		}
		defer ln.Close() // only at the end, so that they differ
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Dial is a readiness check: the port accepts a connection.
func Dial(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}
