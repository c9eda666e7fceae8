package simtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var errLink = errors.New("simtest: the link is down")

// link is how one process reaches Kafka. Every message takes a while, drawn from
// the seed: so the seed, and not Go's scheduler, decides what overtakes what.
type link struct {
	net  *kfake.VirtualNetwork
	seed uint64
	slow time.Duration // a message takes at most this

	mu    sync.Mutex
	dials uint64        // guarded by mu
	conns map[*conn]any // guarded by mu
	down  bool          // guarded by mu; until up
	dead  bool          // guarded by mu; for ever
	lossy float64       // guarded by mu; share of messages at which the connection breaks
}

func newLink(n *kfake.VirtualNetwork, seed uint64, slow time.Duration) *link {
	return &link{net: n, seed: seed, slow: slow, conns: map[*conn]any{}}
}

// options are what a client of this process is made with.
func (l *link) options(addrs []string) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(addrs...), kgo.Dialer(l.dial),
		kgo.RetryBackoffFn(func(tries int) time.Duration { return time.Duration(min(max(tries, 1), 8)) * 60 * time.Millisecond }),
		kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(200 * time.Millisecond), kgo.MetadataMaxAge(20 * time.Second)}
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	refused := l.down || l.dead
	l.dials++
	n := l.dials
	l.mu.Unlock()
	if refused {
		select {
		case <-time.After(time.Duration(100+n%200) * time.Millisecond):
		case <-ctx.Done():
		}
		return nil, errLink
	}
	inner, err := l.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, l: l, out: rand.New(rand.NewPCG(l.seed, 2*n)), in: rand.New(rand.NewPCG(l.seed, 2*n+1))}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = nil
	return c, nil
}

// cut breaks all connections; nothing gets through until mend.
func (l *link) cut(forever bool) {
	l.mu.Lock()
	l.down, l.dead = true, l.dead || forever
	var open []*conn
	for c := range l.conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = l.dead
}

func (l *link) lose(share float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = share
}

// conn delays what goes through it. Writes and reads have a random source each:
// one goroutine writes, one reads.
type conn struct {
	net.Conn
	l       *link
	out, in *rand.Rand
}

func (c *conn) wait(r *rand.Rand) error {
	time.Sleep(time.Duration(1 + r.Int64N(int64(c.l.slow))))
	c.l.mu.Lock()
	down, lossy := c.l.down || c.l.dead, c.l.lossy
	c.l.mu.Unlock()
	if down || r.Float64() < lossy {
		_ = c.Close()
		return errLink
	}
	return nil
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.wait(c.out); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	// A reply is read in pieces, its size first; only that waits.
	if len(b) == 4 {
		if err := c.wait(c.in); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (c *conn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
