package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/weir-ml/weir/registry/feature"
)

// DefaultRedisAddr is where the embedded Redis listens unless told otherwise.
const DefaultRedisAddr = "127.0.0.1:16379"

// RedisConfig says where the embedded Redis listens.
type RedisConfig struct {
	Addr   string       // host:port; port 0 takes any free one; empty is DefaultRedisAddr
	Logger *slog.Logger // nil discards
}

// Redis is miniredis behind a port: in memory, no persistence, no CONFIG and no
// FUNCTION. Its keys expire by the clock of this process, to about a second.
type Redis struct {
	addr string
	ln   net.Listener
	mini *miniredis.Miniredis
	stop chan struct{}
	wg   sync.WaitGroup
	once sync.Once
}

// StartRedis serves an empty store and returns once clients can connect.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	const op = "embedded.redis"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Addr == "" {
		cfg.Addr = DefaultRedisAddr
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := listen(op, "redis.embedded_addr", cfg.Addr)
	if err != nil {
		return nil, err
	}
	mini := miniredis.NewMiniRedis()
	// Dial starts the server without a port of its own, so that connections can
	// pass the guard first.
	first, err := mini.Dial()
	if err != nil {
		ln.Close()
		return nil, feature.Errorf(feature.Internal, op, cfg.Addr, "%w", err)
	}
	first.Close()
	r := &Redis{addr: ln.Addr().String(), ln: ln, mini: mini, stop: make(chan struct{})}
	r.wg.Add(2)
	go r.accept(mini.Server(), cfg.Logger)
	go r.tick()
	return r, nil
}

// Addr is host:port, with the port that was really taken.
func (r *Redis) Addr() string { return r.addr }

// Close disconnects clients and forgets everything. Closing twice is fine.
func (r *Redis) Close() error {
	r.once.Do(func() {
		close(r.stop)
		r.ln.Close()
		r.wg.Wait()
		r.mini.Close()
	})
	return nil
}

func (r *Redis) accept(srv *server.Server, log *slog.Logger) {
	defer r.wg.Done()
	for {
		c, err := r.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Too many open files, for one: it passes.
			log.Warn("embedded redis cannot accept a connection", "err", err)
			select {
			case <-r.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		srv.ServeConn(newRedisGuard(c))
	}
}

// tick makes keys expire. Miniredis can follow the clock by itself, but then it
// walks all keys with a ttl before each command; once a second is enough, and
// seldom enough that the walk never takes more than a twentieth of the time.
func (r *Redis) tick() {
	defer r.wg.Done()
	wait, last := time.Second, time.Now()
	for {
		select {
		case <-r.stop:
			return
		case <-time.After(wait):
		}
		now := time.Now()
		r.mini.FastForward(now.Sub(last))
		last = now
		wait = max(time.Second, 20*time.Since(now))
	}
}
