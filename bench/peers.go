package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/ingest/decode/decodetest"
)

// peer runs the programs in bench/peers: what people write who have no Weir,
// as fast as we know how. uv fetches their pinned packages at the first run.
type peer struct{ uv string }

// findPeer finds uv where PATH or scripts/setup-test.sh has it; nil, having said so, without.
func findPeer() *peer {
	if path, err := exec.LookPath("uv"); err == nil {
		return &peer{path}
	}
	cache, err := os.UserHomeDir()
	if cache = filepath.Join(cache, ".cache"); os.Getenv("XDG_CACHE_HOME") != "" {
		cache = os.Getenv("XDG_CACHE_HOME")
	}
	path := filepath.Join(cache, "weir", "uv", "bin", "uv")
	if _, serr := os.Stat(path); err == nil && serr == nil {
		return &peer{path}
	}
	fmt.Fprintln(os.Stderr, "  the Python consumer is not measured: there is no uv (run scripts/setup-test.sh --peers)")
	return nil
}

// consume reads the payments with consume.py, which measures itself.
func (p *peer) consume(ctx context.Context, broker string, events int) (f flowed, versions string, err error) {
	dir := filepath.Join("bench", "peers")
	cmd := exec.CommandContext(ctx, p.uv, "run", "--quiet", "--no-project", "--with-requirements", filepath.Join(dir, "requirements.txt"),
		"python", filepath.Join(dir, "consume.py"), broker, "payments", strconv.Itoa(events))
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(decodetest.Schema), &out, &errs
	if err := cmd.Run(); err != nil {
		return f, "", fmt.Errorf("consume.py: %w\n%s", err, errs.Bytes())
	}
	var r struct {
		Events, Invalid int
		CPU, Seconds    float64
		Versions        string
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return f, "", fmt.Errorf("consume.py: %w\n%s", err, out.Bytes())
	}
	if r.Events != events || r.Invalid != 0 {
		return f, "", fmt.Errorf("consume.py: %d valid and %d invalid of %d events", r.Events, r.Invalid, events)
	}
	return flowed{events: float64(events), seconds: r.Seconds, cpu: r.CPU}, r.Versions, nil
}
