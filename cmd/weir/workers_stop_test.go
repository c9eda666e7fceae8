package main

import (
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// stop is SIGTERM: a clean end, in time.
func (f *fleet) stop(p *process) time.Duration {
	f.t.Helper()
	f.alive(p)
	began := time.Now()
	require.NoError(f.t, p.cmd.Process.Signal(syscall.SIGTERM))
	err := <-p.done
	p.done <- nil
	require.NoError(f.t, err, "a clean stop of %v\n%s", p.cmd.Args[1:], p.logs)
	require.Less(f.t, time.Since(began), 28*time.Second)
	return time.Since(began)
}
