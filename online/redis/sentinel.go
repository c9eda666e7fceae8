package redis

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// sentinel finds the master. While it answers, the sentinels are asked in turns whether it still is; when one names another, or it does not
// answer, all are asked at once. One of them may know of a change late, or stand apart from the others: what it names is held against what
// that server says of itself, and among those that say they are masters most sentinels decide.
func (t *topology) sentinel(ctx context.Context) (*table, error) {
	if tab := t.current(); tab != nil {
		if l := tab.lanes[0]; l.shut.Load() == nil && l.failures.Load() == 0 {
			t.turn = (t.turn + 1) % len(t.cfg.Addrs)
			if addr, err := t.named(ctx, t.cfg.Addrs[t.turn]); err == nil && addr == l.addr {
				return tab, nil
			}
		}
	}
	addr, err := t.elect(ctx)
	if err != nil {
		return nil, err
	}
	return &table{lanes: []*lane{t.lane(addr)}}, nil
}

// named is the master's address as one sentinel has it.
func (t *topology) named(ctx context.Context, sentinel string) (string, error) {
	l := &login{username: t.cfg.SentinelUsername, password: string(t.cfg.SentinelPassword), tls: t.login.tls}
	v, err := t.ask(ctx, sentinel, l, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", t.cfg.Master)
	if x, ok := v.([]any); ok && err == nil && len(x) == 2 {
		host, _ := x[0].(string)
		port, _ := x[1].(string)
		return nodeAddr(sentinel, host, port), nil
	}
	switch {
	case err == nil:
		err = feature.Errorf(feature.Unavailable, "redis.sentinel", sentinel, "it knows no master %q", t.cfg.Master).
			WithHint("check redis.master and redis.addrs; without sentinels leave redis.master empty")
	case unauthorized(err) && !certificate(err):
		err = feature.Errorf(feature.Unauthorized, "redis.sentinel", sentinel, "%w", err).
			WithHint("check redis.sentinel_username and redis.sentinel_password, and the user's rights: +sentinel|get-master-addr-by-name")
	}
	return "", fmt.Errorf("sentinel %s: %w", sentinel, err)
}

// elect asks all sentinels, and the servers that they name. It waits no longer than until most name one that says it is a master.
func (t *topology) elect(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type said struct {
		addr   string
		master bool // it is the server that says so
		err    error
	}
	most := len(t.cfg.Addrs)
	heard := make(chan said, 2*most) // never full: who asks does not wait
	left := 0
	ask := func(f func() said) {
		if t.spawn(func() { heard <- f() }) {
			left++
		}
	}
	for _, a := range t.cfg.Addrs {
		ask(func() said {
			addr, err := t.named(ctx, a)
			return said{addr: addr, err: err}
		})
	}
	votes, masters := map[string]int{}, map[string]bool{}
	var order []string
	var first error
	for ; left > 0; left-- {
		x := <-heard
		switch {
		case x.err != nil:
			if first == nil || feature.KindOf(x.err) == feature.Unauthorized {
				first = x.err
			}
		case x.master:
			masters[x.addr] = true
		default:
			if votes[x.addr]++; votes[x.addr] == 1 {
				order = append(order, x.addr)
				ask(func() said {
					_, err := t.ask(ctx, x.addr, t.login, "PING") // whose login asks for the role
					if r, ok := err.(reply); ok && r.word() != "READONLY" {
						err = nil // it serves nobody yet, or not us; the role is as it should be
					}
					return said{x.addr, true, err}
				})
			}
		}
		if masters[x.addr] && votes[x.addr] > most/2 {
			return x.addr, nil
		}
	}
	best := ""
	for _, a := range order { // those that are masters first, then those that more sentinels name
		if best == "" || masters[a] && !masters[best] || masters[a] == masters[best] && votes[a] > votes[best] {
			best = a
		}
	}
	if best == "" && first == nil {
		first = errClosed
	}
	if best != "" {
		return best, nil
	}
	return "", first
}
