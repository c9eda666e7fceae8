package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// group is keys that one MGET asks for: those at positions order[from:to], of one lane and on a
// cluster of one slot.
type group struct {
	lane     *lane
	from, to int
	ahead    string // a command that goes before the MGET
	err      error
}

// lookup is the memory of one Get.
type lookup struct {
	order  []int32 // positions, by slot; nil: as they are
	spare  []int32
	slot   []uint16
	groups []group
}

// answerTime is what is left of a request's time when its servers are given up: an eighth, and at most this.
// What the others said still reaches the caller then.
const answerTime = 3 * time.Millisecond

// budget is when lookups must have an answer.
func (s *Store) budget(ctx context.Context) time.Time {
	now := time.Now()
	until := now.Add(s.cfg.ReadTimeout)
	if end, ok := ctx.Deadline(); ok {
		left := end.Sub(now)
		if end = end.Add(-min(left/8, answerTime)); end.Before(until) {
			until = end
		}
	}
	return until
}

// Get asks with MGETs of at most KeysPerRead keys each, on a cluster of one slot each (it
// refuses others): all those of a server in one trip, and all servers at once. It returns within
// ReadTimeout and within what ctx allows, whatever the servers do.
func (s *Store) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	return s.get(ctx, keys, vals, failed, false)
}

// Lookups is the store whose Get takes an absence that may be a loss for a failure (see doubts).
func (s *Store) Lookups() online.Store { return careful{s} }

type careful struct{ *Store }

func (c careful) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	return c.get(ctx, keys, vals, failed, true)
}

func (s *Store) get(ctx context.Context, keys []string, vals [][]byte, failed []bool, doubt bool) error {
	if len(keys) == 0 {
		return nil
	}
	until := s.budget(ctx)
	tab, err := s.top.await(ctx, until)
	if err == nil && (ctx.Err() != nil || !time.Now().Before(until)) {
		err = errLate
	}
	if err != nil {
		for i := range failed {
			failed[i] = true
		}
		return s.classify("get", err)
	}
	r := s.lookups.Get().(*lookup)
	defer func() {
		clear(r.groups)
		r.groups = r.groups[:0]
		s.lookups.Put(r)
	}()
	asked := s.lanes.now()
	r.split(tab, keys, s.cfg.KeysPerRead)
	each(r.groups, func(l *lane, part []group) { l.ask(ctx, until, r, part, keys, vals) })
	if tab.owner != nil {
		s.redirect(ctx, until, r, keys, vals)
	}
	shed := 0
	for i := range r.groups {
		g := &r.groups[i]
		if g.err == nil && doubt {
			g.err = r.trust(ctx, until, tab, g, keys, vals, failed, asked)
		} else if g.err != nil {
			for k := range r.each(g) {
				failed[k] = true
			}
			if errors.Is(g.err, errShed) { // nothing of it was asked
				shed++
			}
		}
		if g.err != nil {
			if err == nil || errors.Is(err, errShed) {
				err = s.shardError("get", g.lane, g.err)
			}
		}
	}
	if shed == len(r.groups) {
		return feature.Errorf(feature.Exhausted, "redis.get", r.groups[0].lane.name(), "%w", errShed).
			WithHint("ask again in a moment, send fewer lookups at once, or raise redis.max_in_flight")
	}
	return err
}

// each yields the positions of a group.
func (r *lookup) each(g *group) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := g.from; i < g.to; i++ {
			k := i
			if r.order != nil {
				k = int(r.order[i])
			}
			if !yield(k) {
				return
			}
		}
	}
}

// split makes the groups, those of a lane next to each other.
func (r *lookup) split(tab *table, keys []string, most int) {
	r.order = nil
	if tab.owner == nil {
		for from := 0; from < len(keys); from += most {
			r.groups = append(r.groups, group{lane: tab.lanes[0], from: from, to: min(from+most, len(keys))})
		}
		return
	}
	r.slot, r.spare = r.slot[:0], r.spare[:0]
	for i, k := range keys {
		r.slot, r.spare = append(r.slot, slot(k)), append(r.spare, int32(i))
	}
	lane := func(k int32) int16 { return tab.owner[r.slot[k]] }
	slices.SortStableFunc(r.spare, func(a, b int32) int {
		if x, y := lane(a), lane(b); x != y {
			return int(x) - int(y)
		}
		return int(r.slot[a]) - int(r.slot[b])
	})
	r.order = r.spare
	for from := 0; from < len(r.order); {
		of := r.slot[r.order[from]]
		to := from + 1
		for to < len(r.order) && to-from < most && r.slot[r.order[to]] == of {
			to++
		}
		g := group{from: from, to: to}
		if n := tab.owner[of]; n >= 0 {
			g.lane = tab.lanes[n]
		} else {
			g.err = reply("CLUSTERDOWN a slot is served by nobody")
		}
		r.groups = append(r.groups, g)
		from = to
	}
}

// each calls f for the groups of each lane, for all lanes at once.
func each(groups []group, f func(*lane, []group)) {
	var wg sync.WaitGroup
	for len(groups) > 0 {
		l, n := groups[0].lane, 1
		for n < len(groups) && groups[n].lane == l {
			n++
		}
		part := groups[:n]
		groups = groups[n:]
		switch {
		case l == nil:
		case len(groups) == 0:
			f(l, part)
		default:
			wg.Go(func() { f(l, part) })
		}
	}
	wg.Wait()
}

// ask asks one server for groups of keys.
func (l *lane) ask(ctx context.Context, until time.Time, r *lookup, groups []group, keys []string, vals [][]byte) {
	err := l.use(ctx, until, func(w *wire) error {
		n := 0
		for i := range groups {
			g := &groups[i]
			if g.ahead != "" {
				w.command(g.ahead)
			}
			w.head(1 + g.to - g.from)
			w.bulk("MGET")
			if r.order == nil {
				for _, k := range keys[g.from:g.to] {
					w.bulk(k)
				}
			} else {
				for _, k := range r.order[g.from:g.to] {
					w.bulk(keys[k])
				}
			}
			n += g.to - g.from
		}
		if err := w.send(); err != nil {
			return err
		}
		mean := int(l.mean.Load())
		s := slab{mean: mean + mean/8, left: n}
		for i := range groups {
			g := &groups[i]
			if g.ahead != "" {
				if _, err := w.value(0); err != nil {
					return err
				}
			}
			var at []int32
			if r.order != nil {
				at = r.order[g.from:g.to]
			}
			var err error
			if g.err, err = w.values(&s, at, g.from, g.to-g.from, vals); err != nil {
				return err
			}
		}
		if now := (7*mean + s.used/n) / 8; now != mean {
			l.mean.Store(int64(max(now, 16)))
		}
		return nil
	})
	if err == nil {
		return
	}
	for i := range groups {
		g := &groups[i]
		g.err = err
		for k := range r.each(g) {
			vals[k] = nil
		}
	}
}

// mostRedirects bounds how often keys are looked for elsewhere.
const mostRedirects = 2

// redirect asks again for the groups that have moved to another server, there.
func (s *Store) redirect(ctx context.Context, until time.Time, r *lookup, keys []string, vals [][]byte) {
	for range mostRedirects {
		r.single()
		again := false
		for i := range r.groups {
			g := &r.groups[i]
			var to reply
			if !errors.As(g.err, &to) {
				continue
			}
			word := to.word()
			switch word {
			case "LOADING", "CLUSTERDOWN", "MASTERDOWN":
				s.top.stale() // perhaps another server has taken over meanwhile, and this one does not know
				continue
			case "MOVED", "ASK":
				s.top.stale()
				f := strings.Fields(string(to))
				if len(f) != 3 {
					continue
				}
				host, port, ok := cutPort(f[2])
				if !ok {
					continue
				}
				g.lane = s.top.lane(nodeAddr(g.lane.addr, host, port))
				g.lane.doubt.raise()
				if g.ahead = ""; word == "ASK" {
					g.ahead = "ASKING"
				}
			case "TRYAGAIN":
			default:
				continue
			}
			if !time.Now().Before(until) {
				return
			}
			// A slot at a time: slots move in ones, and a storm of redirects is over with the next table.
			g.err = nil
			g.lane.ask(ctx, until, r, r.groups[i:i+1], keys, vals)
			s.redirects.Add(1)
			again = true
		}
		if !again {
			return
		}
	}
}

// single makes groups of one key each of those whose slot is on its way: while some of the keys are not at one
// server, be it that they never were anywhere, Redis refuses to answer for several.
func (r *lookup) single() {
	for i := range len(r.groups) {
		g := r.groups[i]
		var to reply
		if g.to-g.from < 2 || !errors.As(g.err, &to) || to.word() != "TRYAGAIN" {
			continue
		}
		r.groups[i].to = g.from + 1
		for from := g.from + 1; from < g.to; from++ {
			r.groups = append(r.groups, group{lane: g.lane, from: from, to: from + 1, ahead: g.ahead, err: g.err})
		}
	}
}

func cutPort(addr string) (host, port string, ok bool) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return "", "", false
	}
	return strings.Trim(addr[:i], "[]"), addr[i+1:], true
}

// Ping tells whether a lookup can be answered: any server of a cluster will do, for the rest of an
// answer is good.
func (s *Store) Ping(ctx context.Context) error {
	until := s.budget(ctx)
	tab, err := s.top.await(ctx, until)
	if err != nil {
		return s.classify("ping", err)
	}
	errs := make([]error, len(tab.lanes))
	var wg sync.WaitGroup
	for i, l := range tab.lanes {
		wg.Go(func() {
			errs[i] = l.use(ctx, until, func(w *wire) error { return w.ping(until) })
		})
	}
	wg.Wait()
	for i, e := range errs {
		if e == nil {
			return nil
		}
		if err == nil {
			err = s.shardError("ping", tab.lanes[i], e)
		}
	}
	return err
}
