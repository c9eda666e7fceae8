package audit_test

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	onmemory "github.com/weir-ml/weir/online/memory"
)

// TestReplayOnKafka replays on a real Kafka, whose topics are compacted, and
// tells what a replay costs. WEIR_TEST_REPLAY_EVENTS=500000 measures.
func TestReplayOnKafka(t *testing.T) {
	k := testserver.OwnKafka(t)
	n := 2000
	if x, err := strconv.Atoi(os.Getenv("WEIR_TEST_REPLAY_EVENTS")); err == nil {
		n = x
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, topic)
	require.NoError(t, err)
	w := &replays{world: worldOn(t, testseed.For(t), []string{k.Addr}), served: onmemory.New(nil)}
	w.inMemory()
	w.cfg.BatchRows, w.cfg.FlushInterval = ingest.DefaultConfig().BatchRows, 500*time.Millisecond
	w.rules(1000, 10)
	stop := w.stream()
	for i := 0; i < n; i += 2000 {
		w.produce(1000)
	}
	w.drained()
	w.rules(0, 0)
	r := ingest.NewReplayer(w.replayConfig(&life{left: -1, cancel: func() {}}, w.cfg))
	before := cpu()
	began := time.Now()
	res, err := r.Replay(t.Context(), ingest.ReplayRequest{Project: "p", View: "person"}, nil)
	require.NoError(t, err)
	spent := cpu() - before
	t.Logf("%d replayed, %d still bad: %.2f CPU seconds in the process (%.0f events a second), %v", res.Replayed, res.Held, spent, float64(res.Replayed)/spent, time.Since(began).Round(time.Millisecond))
	require.Positive(t, res.Replayed)
	d, err := r.Discard(t.Context(), ingest.ReplayRequest{Project: "p", View: "person", Reason: "never"}, nil)
	require.NoError(t, err)
	require.Equal(t, res.Held, d.Discarded)
	stop()
	w.sound()
	require.NoError(t, quarantine.NewReader(w.opts...).Find(t.Context(), w.view(), &quarantine.Filter{}, w.rows, nil, func(e *quarantine.Entry, _ quarantine.State) error {
		return fmt.Errorf("%s is still held back", e.ID())
	}))
}

func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
