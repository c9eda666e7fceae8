package redis

import (
	"context"
	"fmt"
	"strings"

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
	v, err := t.ask(ctx, sentinel, t.sentinelLogin(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", t.cfg.Master)
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

// heard is one answer of an election.
type heard struct {
	addr   string // that a sentinel names, or a server that was asked
	master bool   // it was the server: without err it is a master
	from   string // the sentinel, or the server in whose place addr was promoted
	err    error
}

// elect asks all sentinels, and the servers that they name. It waits no longer than until most name one that says it is a master. Sentinels tell of a
// failover a second and more after the new master serves: where the one that they name does not, a replica of it that says it is a master stands for it.
func (t *topology) elect(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n := len(t.cfg.Addrs)
	answers := make(chan heard, 3*n) // never full: who asks does not wait
	left := 0
	ask := func(f func() heard) {
		if t.spawn(func() { answers <- f() }) {
			left++
		}
	}
	for _, a := range t.cfg.Addrs {
		ask(func() heard {
			addr, err := t.named(ctx, a)
			return heard{addr: addr, from: a, err: err}
		})
	}
	votes, masters, instead, namer := map[string]int{}, map[string]bool{}, map[string]string{}, map[string]string{}
	var order []string
	var first error
	stands := func(a string) string {
		if b := instead[a]; b != "" {
			return b
		}
		return a
	}
	for ; left > 0; left-- {
		x := <-answers
		switch {
		case x.master && x.err == nil:
			masters[x.addr] = true
			if x.from != "" {
				instead[x.from] = x.addr
			}
		case x.master && x.from == "":
			of := namer[x.addr]
			ask(func() heard {
				addr, err := t.promoted(ctx, of)
				return heard{addr: addr, master: true, from: x.addr, err: err}
			})
		case x.master: // nobody was promoted
		case x.err != nil:
			if first == nil || feature.KindOf(x.err) == feature.Unauthorized {
				first = x.err
			}
		default:
			if votes[x.addr]++; votes[x.addr] == 1 {
				order, namer[x.addr] = append(order, x.addr), x.from
				ask(func() heard {
					_, err := t.ask(ctx, x.addr, t.login, "PING") // whose login asks for the role
					if r, ok := err.(reply); ok && r.word() != "READONLY" {
						err = nil // it serves nobody yet, or not us; the role is as it should be
					}
					return heard{addr: x.addr, master: true, err: err}
				})
			}
		}
		for _, a := range order {
			if b := stands(a); masters[b] && votes[a] > n/2 {
				return b, nil
			}
		}
	}
	best := ""
	for _, a := range order { // those that are masters first, then those that more sentinels name
		if m := masters[stands(a)]; best == "" || m && !masters[stands(best)] || m == masters[stands(best)] && votes[a] > votes[best] {
			best = a
		}
	}
	switch {
	case best != "":
		return stands(best), nil
	case first == nil:
		first = errClosed
	}
	return "", first
}

// promoted finds a replica that has become a master, which a sentinel does not say yet.
func (t *topology) promoted(ctx context.Context, sentinel string) (string, error) {
	v, err := t.ask(ctx, sentinel, t.sentinelLogin(), "SENTINEL", "REPLICAS", t.cfg.Master)
	if err != nil {
		return "", err
	}
	replicas, _ := v.([]any)
	role := *t.login
	role.master = false
	for _, r := range replicas {
		fields, _ := r.([]any)
		of := map[string]string{}
		for i := 0; i+1 < len(fields); i += 2 {
			k, _ := fields[i].(string)
			of[k], _ = fields[i+1].(string)
		}
		if of["ip"] == "" || of["port"] == "" || strings.Contains(of["flags"], "s_down") {
			continue
		}
		addr := nodeAddr(sentinel, of["ip"], of["port"])
		v, _ := t.ask(ctx, addr, &role, "ROLE")
		if said, ok := v.([]any); ok && len(said) > 0 && said[0] == "master" {
			return addr, nil
		}
	}
	return "", errLate
}

// sentinelLogin is what the sentinels are told first.
func (t *topology) sentinelLogin() *login {
	return &login{username: t.cfg.SentinelUsername, password: string(t.cfg.SentinelPassword), tls: t.login.tls}
}
