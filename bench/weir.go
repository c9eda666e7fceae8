package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// build makes the binary that the other measurements run; the time does not count.
func (r *run) build(ctx context.Context) error {
	r.binary = filepath.Join(r.dir, "weir")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", r.binary, "./cmd/weir")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build weir: %w", err)
	}
	return nil
}

// process is a running weir.
type process struct {
	cmd   *exec.Cmd
	kafka string // addresses, as it printed them
	grpc  string
	ready time.Duration // from its start until it said so
	cpu   float64       // seconds of CPU until then
	wait  float64       // seconds its threads waited for a core until then
	logs  *tail
	ended chan error

	conn     *grpc.ClientConn
	registry weirv1.RegistryServiceClient
	features weirv1.FeatureServiceClient
	ingest   weirv1.IngestServiceClient
	upkeep   weirv1.UpkeepServiceClient
}

// freePorts are settings that let it run beside any other Weir.
var freePorts = []string{
	"--set", "http.addr=127.0.0.1:0", "--set", "serving.addr=127.0.0.1:0",
	"--set", "kafka.embedded_addr=127.0.0.1:0", "--set", "redis.embedded_addr=127.0.0.1:0", "--set", "log.level=warn",
}

var addressLine = regexp.MustCompile(`^\W*(Kafka|gRPC)\b.*?([0-9.]+:[0-9]+)`)

// up starts `weir up` on a data folder; see launch.
func (r *run) up(ctx context.Context, data, profile string, settings ...string) (*process, error) {
	return r.launch(ctx, profile, []string{"up", "--data", data}, settings...)
}

// role starts `weir run` with one role, as production does; see launch.
func (r *run) role(ctx context.Context, role, data, profile string, settings ...string) (*process, error) {
	return r.launch(ctx, profile, []string{"run", "--role", role}, append([]string{"data_dir=" + data}, settings...)...)
}

// launch starts weir and returns when it says that it is ready. With a profile
// path it is this program that runs as weir.
func (r *run) launch(ctx context.Context, profile string, command []string, settings ...string) (*process, error) {
	args := append(command, freePorts...)
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	name := r.binary
	if profile != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		name, args = self, append([]string{profiledWeir, profile}, args...)
	}
	p := &process{cmd: exec.Command(name, args...), logs: &tail{}, ended: make(chan error, 1)}
	p.cmd.Dir = r.dir // no weir.yaml of the user's
	p.cmd.Stderr = p.logs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	isReady := make(chan bool, 1)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := addressLine.FindStringSubmatch(s.Text()); m != nil {
				if m[1] == "Kafka" {
					p.kafka = m[2]
				} else {
					p.grpc = m[2]
				}
			}
			if strings.HasPrefix(s.Text(), "weir is up") {
				isReady <- true
			}
		}
		p.ended <- p.cmd.Wait()
	}()
	select {
	case <-isReady:
		p.ready = time.Since(began)
		p.cpu, p.wait = cpuOf(p.cmd.Process.Pid), waitedFor(p.cmd.Process.Pid)
	case err := <-p.ended:
		return nil, fmt.Errorf("weir %s ended before it was ready: %w\n%s", command[0], err, p.logs)
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		return nil, ctx.Err()
	}
	if p.conn, err = grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20))); err != nil {
		p.stop()
		return nil, err
	}
	p.upkeep = weirv1.NewUpkeepServiceClient(p.conn)
	p.registry, p.features, p.ingest = weirv1.NewRegistryServiceClient(p.conn), weirv1.NewFeatureServiceClient(p.conn), weirv1.NewIngestServiceClient(p.conn)
	return p, nil
}

// usedCPU is what the process has used so far, in seconds.
func (p *process) usedCPU() float64 { return cpuOf(p.cmd.Process.Pid) }

// peakMemory is the most memory it had resident so far, in bytes.
func (p *process) peakMemory() int64 { return peakOf(p.cmd.Process.Pid) }

// peakOf is the most memory that a process had resident so far, in bytes; 0 where the system does not tell.
func peakOf(pid int) int64 {
	text := strings.TrimSuffix(field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), " kB")
	kb, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// stop asks the process to end and waits for it.
func (p *process) stop() error {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		p.ended <- err // a second stop finds it too
		if err != nil {
			return fmt.Errorf("weir did not stop cleanly: %w\n%s", err, p.logs)
		}
		return nil
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("weir did not stop within 30 s\n%s", p.logs)
	}
}

// apply puts manifests in force.
func (p *process) apply(ctx context.Context, manifests string) error {
	res, err := p.registry.Apply(ctx, &weirv1.ApplyRequest{Files: []*weirv1.ManifestFile{{Name: "bench.yaml", Content: []byte(manifests)}}, DefaultProject: "default"})
	if err != nil {
		return err
	}
	for _, f := range res.Faults {
		return fmt.Errorf("apply: line %d: %s: %s", f.Line, f.Field, f.Message)
	}
	return nil
}

// tail keeps the end of what a process logs.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if n := len(t.buf) - 4000; n > 0 {
		t.buf = t.buf[n:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
