package redis

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Callers who give a server less time than its answers take do not have it shut for all others.
func TestHopelessDeadlines(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ProbeInterval = time.Hour
	ls := &lanes{cfg: &cfg, log: slog.New(slog.DiscardHandler), moved: func() {}, born: time.Now()}
	l := ls.newLane(context.Background(), "test")
	t.Cleanup(func() { l.close(); ls.wait() })
	ask := func(left time.Duration) {
		a, b := net.Pipe()
		_ = b.Close()
		l.keep(&wire{Conn: a, raw: a})
		require.Error(t, l.use(context.Background(), time.Now().Add(left), func(*wire) error {
			return fmt.Errorf("test: %w", os.ErrDeadlineExceeded)
		}))
	}
	l.takes.Store(int64(5 * time.Millisecond))
	for range 100 {
		ask(4 * time.Millisecond)
	}
	require.Nil(t, l.shut.Load())
	l.takes.Store(int64(time.Minute)) // it was slow once, and is perhaps hung since
	for range cfg.BreakerFailures {
		require.Nil(t, l.shut.Load())
		ask(time.Hour)
	}
	require.NotNil(t, l.shut.Load())
}
