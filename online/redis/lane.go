package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lane is the way of lookups to one server: its connections, how many requests may be on it, and
// whether it is given up for now.
//
// A request never waits for a server that is known not to answer. After BreakerFailures
// failures in a row, with no answer in between, the lane is shut: requests fail at once, and the
// lane itself asks the server, on a connection of its own, until it serves again.
type lane struct {
	*lanes
	addr string

	inFlight atomic.Int64
	places   chan struct{} // one for each request that has a connection
	mean     atomic.Int64  // length of a value, about
	doubt    doubts

	mu      sync.Mutex
	idle    []*wire // guarded by mu; the last is the youngest
	dialing int     // guarded by mu

	failures atomic.Int32 // in a row
	takes    atomic.Int64 // nanoseconds from a question to its answer, when it was last measured
	shut     atomic.Pointer[shutting]
	ended    context.Context // when the lane is not used any more
	end      context.CancelFunc

	shed, refused, retried, probes atomic.Uint64 // of the metrics
}

// shutting is why and since when a lane is shut.
type shutting struct {
	cause error
	since time.Time
}

// lanes is what the lanes of a store have in common.
type lanes struct {
	cfg   *Config
	login *login
	log   *slog.Logger
	moved func() // asks for the topology to be looked up again
	born  time.Time
	seen  sync.Map // key of marks -> online.Marks, as they were when nothing was lost
	table atomic.Pointer[Table]

	gate   sync.Mutex
	closed bool // guarded by gate: nothing more is begun
	bg     sync.WaitGroup
}

// errClosed is a request of a store that is closed.
var errClosed = fmt.Errorf("the store is closed: %w", net.ErrClosed)

// spawn runs f beside, unless the store is being closed.
func (l *lanes) spawn(f func()) bool {
	l.gate.Lock()
	defer l.gate.Unlock()
	if !l.closed {
		l.bg.Go(f)
	}
	return !l.closed
}

// wait lets nothing begin any more, and waits for what has.
func (l *lanes) wait() {
	l.gate.Lock()
	l.closed = true
	l.gate.Unlock()
	l.bg.Wait()
}

// now is a clock that only goes forward.
func (l *lanes) now() int64 { return int64(time.Since(l.born)) }

// errShed is a request turned away because the server has too many on it.
var errShed = errors.New("too many lookups are under way on this server")

// errLate is a request whose time was over before it was sent.
var errLate = fmt.Errorf("no time left for the lookup: %w", os.ErrDeadlineExceeded)

// shutError is a request that was not sent, because the lane is shut.
type shutError struct{ *shutting }

func (e *shutError) Error() string {
	return fmt.Sprintf("not asked, for it has not answered since %s: %v", e.since.Format(time.TimeOnly), e.cause)
}
func (e *shutError) Unwrap() error { return e.cause }

func (l *lanes) newLane(ctx context.Context, addr string) *lane {
	n := &lane{lanes: l, addr: addr, places: make(chan struct{}, l.cfg.PoolSize)}
	n.mean.Store(128)
	n.ended, n.end = context.WithCancel(ctx)
	return n
}

// use runs f on a connection, and once more on a new one if the connection turned out to be dead.
// f's error is the connection's: what the server refused is not one.
func (l *lane) use(ctx context.Context, until time.Time, f func(*wire) error) error {
	if s := l.shut.Load(); s != nil {
		l.refused.Add(1)
		return &shutError{s}
	}
	if l.inFlight.Add(1) > int64(l.cfg.MaxInFlight) {
		l.inFlight.Add(-1)
		l.shed.Add(1)
		return errShed
	}
	had := time.Until(until)
	err := l.try(ctx, until, f)
	l.inFlight.Add(-1)
	switch {
	case err == nil:
		if l.failures.Load() != 0 {
			l.failures.Store(0)
		}
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded): // the caller went away
	case late(err) && had < min(time.Duration(l.takes.Load()), hopeless): // no server could have answered
	default:
		l.failed(err)
	}
	return err
}

// hopeless is how little time a request must have had for its end to tell nothing of the server, where answers take longer.
// With more it tells, however slow the server was: it may be hung since.
const hopeless = 10 * time.Millisecond

// measure notes how long an answer took.
func (l *lane) measure(since time.Time) { l.takes.Store(int64(time.Since(since))) }

func (l *lane) try(ctx context.Context, until time.Time, f func(*wire) error) error {
	select {
	case l.places <- struct{}{}:
	default:
		wait := time.NewTimer(time.Until(until))
		select {
		case l.places <- struct{}{}:
			wait.Stop()
		case <-wait.C:
			return fmt.Errorf("no connection came free: %w", os.ErrDeadlineExceeded)
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
	defer func() { <-l.places }()
	w := l.spare()
	fresh := w == nil
	for {
		if fresh {
			var err error
			if w, err = l.dial(ctx, until); err != nil {
				return err
			}
		}
		_ = w.SetDeadline(until)
		err := f(w)
		if err == nil {
			l.keep(w)
			return nil
		}
		w.close()
		if fresh || !broken(err) || ctx.Err() != nil || !time.Now().Before(until) {
			return err
		}
		// The server has closed it, so very likely the others too.
		l.drop()
		l.retried.Add(1)
		fresh = true
	}
}

// spare is a connection that nobody uses; nil when there is none.
func (l *lane) spare() *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle)
	if n == 0 {
		return nil
	}
	w := l.idle[n-1]
	l.idle[n-1] = nil
	l.idle = l.idle[:n-1]
	return w
}

func (l *lane) keep(w *wire) {
	l.mu.Lock()
	if len(l.idle) < l.cfg.PoolSize && l.ended.Err() == nil {
		l.idle = append(l.idle, w)
		w = nil
	}
	l.mu.Unlock()
	if w != nil {
		w.close()
	}
}

func (l *lane) drop() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, w := range idle {
		w.close()
	}
	l.doubt.raise()
}

func (l *lane) name() string {
	if l == nil {
		return ""
	}
	return l.addr
}

// dial makes a connection, and waits for it no longer than until. One that comes too late is
// there for the next request.
func (l *lane) dial(ctx context.Context, until time.Time) (*wire, error) {
	l.mu.Lock()
	if l.dialing >= l.cfg.PoolSize {
		l.mu.Unlock()
		return nil, fmt.Errorf("no connection can be set up: %w", os.ErrDeadlineExceeded)
	}
	l.dialing++
	l.mu.Unlock()
	type dialed struct {
		w   *wire
		err error
	}
	got := make(chan dialed, 1) // never full: who dials does not wait
	var mu sync.Mutex
	gone := false
	begun := l.spawn(func() {
		limit, cancel := context.WithTimeout(l.ended, l.cfg.DialTimeout)
		defer cancel()
		w, err := dialWire(limit, l.addr, l.login)
		l.doubt.raise() // another server may listen there by now
		l.mu.Lock()
		l.dialing--
		l.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !gone:
			got <- dialed{w, err}
		case err == nil:
			l.keep(w)
		}
	})
	if !begun {
		l.mu.Lock()
		l.dialing--
		l.mu.Unlock()
		return nil, errClosed
	}
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	var why error
	select {
	case d := <-got:
		return d.w, d.err
	case <-wait.C:
		why = fmt.Errorf("no connection in time: %w", os.ErrDeadlineExceeded)
	case <-ctx.Done():
		why = ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	gone = true
	select {
	case d := <-got: // in the meantime
		if d.err == nil {
			l.keep(d.w)
		}
	default:
	}
	return nil, why
}

// failed counts a failure, and shuts the lane when there were too many in a row.
func (l *lane) failed(err error) {
	l.moved() // perhaps somebody else has the keys by now
	if int(l.failures.Add(1)) < l.cfg.BreakerFailures {
		return
	}
	s := &shutting{cause: err, since: time.Now()}
	if !l.shut.CompareAndSwap(nil, s) {
		return
	}
	if l.ended.Err() != nil {
		return
	}
	l.log.Warn("a server of the online store does not answer: lookups of its keys fail at once until it does", "redis", l.addr, "err", err)
	l.spawn(func() { l.reopen(s) })
}

// reopen asks a shut lane's server until it serves.
func (l *lane) reopen(s *shutting) {
	for {
		pause := l.cfg.ProbeInterval
		if unauthorized(s.cause) {
			pause *= 50 // a password does not mend itself, and servers count wrong ones
		}
		select {
		case <-l.ended.Done():
			return
		case <-time.After(pause):
		}
		l.probes.Add(1)
		w, err := l.probe()
		if err == nil {
			l.drop() // of the time before
			l.failures.Store(0)
			l.shut.Store(nil)
			l.keep(w)
			l.log.Info("a server of the online store answers again", "redis", l.addr, "after", time.Since(s.since).Round(time.Millisecond))
			return
		}
		if l.ended.Err() != nil {
			return
		}
		s = &shutting{cause: err, since: s.since}
		l.shut.Store(s)
		l.moved()
	}
}

// probe makes a connection on which the server serves, within ReadTimeout: what takes longer would be of no use to a lookup.
func (l *lane) probe() (*wire, error) {
	until := time.Now().Add(l.cfg.ReadTimeout)
	ctx, cancel := context.WithDeadline(l.ended, until)
	defer cancel()
	w, err := dialWire(ctx, l.addr, l.login)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := w.ping(until); err != nil {
		w.close()
		return nil, err
	}
	l.measure(start)
	return w, nil
}

// close ends the lane: what is under way may go on.
func (l *lane) close() {
	l.end()
	l.drop()
}
