package ingest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// TestRestartsLeakNothing: each change of a source starts its pipelines again;
// what they were made of goes away.
func TestRestartsLeakNothing(t *testing.T) {
	w := newWorks(t, 2)
	v := personView("first")
	w.apply(v)
	var opened atomic.Int64
	s, _ := w.worker(w.config(), func(c *ingest.SupervisorConfig) {
		open := c.Open
		c.Open = func(ctx context.Context, cat *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			opened.Add(1)
			return open(ctx, cat, v)
		}
	})
	good := w.some(1, 100, 2)
	w.holds("first", good)
	change := func(i int) {
		v := personView("first")
		v.Meta.Description = fmt.Sprint(i)
		before := opened.Load()
		w.apply(v)
		good += w.some(uint64(i), 20, 2)
		// What comes after the new pipeline's outlets were opened has passed through
		// it when it is there: then the old one has gone and the new one runs. Counted
		// any earlier, there may be none.
		require.Eventually(t, func() bool { return opened.Load() > before }, time.Minute, time.Millisecond)
		good += w.some(uint64(1000+i), 20, 2)
		w.holds("first", good)
	}
	for i := range 3 {
		change(i)
	}
	before := settled()
	for i := range 15 {
		change(100 + i)
	}
	// A restart that leaves one goroutine leaves 15 here.
	var after crowd
	for end := time.Now().Add(20 * time.Second); ; {
		if after = settled(); after.size() <= before.size()+5 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("goroutines: %d, before %d; those that are more:\n%s", after.size(), before.size(), after.above(before))
		}
	}
	require.Equal(t, ingest.StateRunning, s.Status()[0].State)
}

// crowd is the goroutines that run, by the function that each began with. Those of
// the broker, which is in this process, are left out: they come and go with
// connections that are opened when first needed and closed when idle.
type crowd map[string][]string

func goroutines() crowd {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	c := crowd{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "franz-go/pkg/kfake.") {
			continue
		}
		began := ""
		for line := range strings.Lines(stack) {
			if by, ok := strings.CutPrefix(line, "created by "); ok {
				by, _, _ = strings.Cut(by, " in goroutine")
				began += " of " + strings.TrimSpace(by)
			} else if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "goroutine ") {
				began = strings.TrimSpace(line[:max(0, strings.LastIndexByte(line, '('))])
			}
		}
		c[began] = append(c[began], stack)
	}
	return c
}

// settled is the smallest crowd of a short while: clients ask the broker this and
// that in between.
func settled() crowd {
	low := goroutines()
	for range 40 {
		time.Sleep(5 * time.Millisecond)
		if c := goroutines(); c.size() < low.size() {
			low = c
		}
	}
	return low
}

func (c crowd) size() (n int) {
	for _, stacks := range c {
		n += len(stacks)
	}
	return n
}

// above tells what there is more of than in another crowd, with a stack of each kind.
func (c crowd) above(other crowd) string {
	var b strings.Builder
	for began, stacks := range c {
		if n := len(other[began]); len(stacks) > n {
			fmt.Fprintf(&b, "\n%d, before %d: %s\n%s\n", len(stacks), n, began, stacks[len(stacks)-1])
		}
	}
	return b.String()
}
