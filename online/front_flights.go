package online

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// flights lets requests share the questions that are under way.
//
// Nobody suffers from another's deadline: a question goes out with the time of the request that asks it, and when
// it fails those that had shared it ask for themselves.
type flights struct {
	seed   maphash.Seed
	shards [cacheShards]struct {
		mu    sync.Mutex
		under map[string]*flight // guarded by mu
	}
}

// flight is one key that is being asked for.
type flight struct {
	done   chan struct{} // closed when val and failed are set; one for all keys of a request
	val    []byte
	failed bool
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].under = map[string]*flight{}
	}
	return f
}

// get is Store.Get; shared is how many values came from others' questions.
func (f *flights) get(ctx context.Context, s Store, keys []string, vals [][]byte, failed []bool) (shared int, err error) {
	done := make(chan struct{})
	own := make([]flight, len(keys))
	joined := make([]*flight, len(keys)) // nil: own
	mine := fraction{keys: make([]string, 0, len(keys))}
	for i, k := range keys {
		h := maphash.String(f.seed, k) % cacheShards
		x := &f.shards[h]
		x.mu.Lock()
		if o := x.under[k]; o != nil {
			if o.done != done { // not twice in this request
				joined[i] = o
			}
		} else {
			own[i].done = done
			x.under[strings.Clone(k)] = &own[i]
		}
		x.mu.Unlock()
		if joined[i] == nil {
			mine.keys = append(mine.keys, k)
		}
	}
	err = f.askOwn(ctx, s, &mine, keys, own, joined, done, vals, failed)
	var again fraction
	var at []int
	for i, o := range joined {
		if o == nil {
			continue
		}
		select {
		case <-o.done:
		case <-ctx.Done():
			vals[i], failed[i] = nil, true // as a question of its own would
			if err == nil {
				err = &feature.Error{Kind: feature.Unavailable, Op: "online.get", Err: ctx.Err()}
			}
			continue
		}
		if o.failed {
			again.keys, at = append(again.keys, keys[i]), append(at, i)
			continue
		}
		vals[i] = o.val
		shared++
	}
	if len(at) > 0 {
		again.vals, again.failed = make([][]byte, len(at)), make([]bool, len(at))
		if e := s.Get(ctx, again.keys, again.vals, again.failed); err == nil {
			err = e
		}
		for j, i := range at {
			vals[i], failed[i] = again.vals[j], again.failed[j]
		}
	}
	if !all(failed) {
		err = partly(err)
	}
	return shared, err
}

// askOwn asks for the keys that nobody asks for, and tells those who wait.
func (f *flights) askOwn(ctx context.Context, s Store, mine *fraction, keys []string, own []flight, joined []*flight, done chan struct{}, vals [][]byte, failed []bool) (err error) {
	if len(mine.keys) == 0 {
		return nil
	}
	mine.vals, mine.failed = make([][]byte, len(mine.keys)), make([]bool, len(mine.keys))
	answered := false // the store may panic, which is the fault of one request only
	defer func() {
		j := 0
		for i, k := range keys {
			if joined[i] != nil {
				continue
			}
			vals[i], failed[i] = mine.vals[j], mine.failed[j]
			if own[i].done != nil {
				own[i].val, own[i].failed = mine.vals[j], mine.failed[j] || !answered
				x := &f.shards[maphash.String(f.seed, k)%cacheShards]
				x.mu.Lock()
				delete(x.under, k)
				x.mu.Unlock()
			}
			j++
		}
		close(done)
	}()
	err = s.Get(ctx, mine.keys, mine.vals, mine.failed)
	answered = true
	return err
}

func all(list []bool) bool {
	for _, b := range list {
		if !b {
			return false
		}
	}
	return true
}
