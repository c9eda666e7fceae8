package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// table says which lane a key takes. It is replaced as a whole.
type table struct {
	lanes []*lane
	owner []int16 // slot -> lane, -1 for none; nil where there is one server
}

// topology keeps the table right. All of its work is done in the background: a lookup takes the table that is there.
type topology struct {
	*lanes
	current func() *table
	publish func(*table)
	known   chan struct{} // closed with the first table

	mu     sync.Mutex
	byAddr map[string]*lane // guarded by mu
	ctx    context.Context
	kick   chan struct{}
	fault  error // guarded by mu: why there is no table yet
	turn   int   // which sentinel is asked next; of watch
}

const (
	// Between two looks at least; a burst of redirects costs no more.
	topologyPause = 100 * time.Millisecond
	// Without any reason: a sentinel's server may be replaced while it still answers.
	sentinelEvery = 500 * time.Millisecond
	clusterEvery  = 10 * time.Second
)

// lane finds or makes the lane of an address.
func (t *topology) lane(addr string) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byAddr[addr]
	if l == nil {
		l = t.newLane(t.ctx, addr)
		t.byAddr[addr] = l
	}
	return l
}

// all is every lane there is.
func (t *topology) all() []*lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*lane, 0, len(t.byAddr))
	for _, l := range t.byAddr {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *lane) int {
		if a.addr < b.addr {
			return -1
		}
		return 1
	})
	return list
}

// stale asks for another look, without waiting for it.
func (t *topology) stale() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// watch looks at the topology until ctx ends.
func (t *topology) watch(look func(context.Context) (*table, error), every time.Duration) {
	for {
		tab, err := look(t.ctx)
		if t.ctx.Err() != nil {
			return
		}
		next := every
		if err == nil {
			t.adopt(tab)
		} else {
			next = topologyPause
		}
		t.mu.Lock()
		t.fault = err
		t.mu.Unlock()
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(topologyPause):
		}
		select {
		case <-t.ctx.Done():
			return
		case <-t.kick:
		case <-time.After(next):
		}
	}
}

func (t *topology) adopt(tab *table) {
	old := t.current()
	t.publish(tab)
	if old == nil {
		close(t.known)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for addr, l := range t.byAddr {
		if !slices.Contains(tab.lanes, l) {
			delete(t.byAddr, addr)
			l.close()
		}
	}
	if old == nil {
		return
	}
	if !slices.Equal(old.owner, tab.owner) || !slices.Equal(old.lanes, tab.lanes) {
		for _, l := range tab.lanes {
			l.doubt.raise() // it may have got keys that another server had not sent it
		}
		addrs := make([]string, len(tab.lanes))
		for i, l := range tab.lanes {
			addrs[i] = l.addr
		}
		t.log.Info("the online store's servers have changed", "redis", addrs)
	}
}

// await waits for the first table.
func (t *topology) await(ctx context.Context, until time.Time) (*table, error) {
	if tab := t.current(); tab != nil {
		return tab, nil
	}
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	select {
	case <-t.known:
		return t.current(), nil
	case <-ctx.Done():
	case <-wait.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault != nil {
		return nil, t.fault
	}
	return nil, errLate
}

// ask sends one command on a connection of its own.
func (t *topology) ask(ctx context.Context, addr string, l *login, args ...string) (any, error) {
	until := time.Now().Add(t.cfg.ReadTimeout)
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	w, err := dialWire(ctx, addr, l)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.command(args...)
	if err := w.send(); err != nil {
		return nil, err
	}
	v, err := w.value(0)
	if r, ok := v.(reply); ok && err == nil {
		err = r
	}
	return v, err
}

// cluster asks one server after the other who has which slots: those first that answer lookups.
func (t *topology) cluster(ctx context.Context) (*table, error) {
	var well, ill []string
	for _, l := range t.all() {
		if l.shut.Load() == nil && l.failures.Load() == 0 {
			well = append(well, l.addr)
		} else {
			ill = append(ill, l.addr)
		}
	}
	for _, list := range [][]string{well, ill} {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	addrs := append(well, ill...)
	for _, a := range t.cfg.Addrs {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	var first error
	for _, a := range addrs {
		v, err := t.ask(ctx, a, t.login, "CLUSTER", "SLOTS")
		if err == nil {
			var tab *table
			if tab, err = t.parseSlots(a, v); err == nil {
				return tab, nil
			}
		}
		if first == nil {
			first = fmt.Errorf("%s: %w", a, err)
		}
	}
	return nil, first
}

func (t *topology) parseSlots(from string, v any) (*table, error) {
	ranges, ok := v.([]any)
	if !ok || len(ranges) == 0 {
		return nil, reply("CLUSTERDOWN no slots are served")
	}
	tab := &table{owner: make([]int16, slots)}
	for i := range tab.owner {
		tab.owner[i] = -1
	}
	at := map[string]int{}
	for _, r := range ranges {
		x, ok := r.([]any)
		if !ok || len(x) < 3 {
			return nil, errProtocol
		}
		lo, ok1 := x[0].(int)
		hi, ok2 := x[1].(int)
		node, ok3 := x[2].([]any)
		if !ok1 || !ok2 || !ok3 || len(node) < 2 || lo < 0 || hi >= slots {
			return nil, errProtocol
		}
		host, _ := node[0].(string)
		port, ok := node[1].(int)
		if !ok {
			return nil, errProtocol
		}
		addr := nodeAddr(from, host, strconv.Itoa(port))
		n, known := at[addr]
		if !known {
			n = len(tab.lanes)
			at[addr] = n
			tab.lanes = append(tab.lanes, t.lane(addr))
		}
		for s := lo; s <= hi; s++ {
			tab.owner[s] = int16(n)
		}
	}
	return tab, nil
}

// nodeAddr is where a node is: on the host that was asked, when its own is not told, or is that of every machine
// (127.0.0.1 of a container, say). So does the client of writes.
func nodeAddr(from, host, port string) string {
	asked, _, _ := net.SplitHostPort(from)
	ip, of := net.ParseIP(host), net.ParseIP(asked)
	if host == "" || host == "?" || ip.IsLoopback() && of != nil && !of.IsLoopback() {
		host = asked
	}
	return net.JoinHostPort(host, port)
}

// single is the table of one server, which does not change.
func (t *topology) single(addr string) *table {
	return &table{lanes: []*lane{t.lane(addr)}}
}
