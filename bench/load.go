package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// loaded is what a load measured.
type loaded struct {
	calls int
	took  time.Duration
	late  []float64 // ms from when a call was due, sorted; of open alone
	err   error     // the first
}

func (l *loaded) rate() float64 { return float64(l.calls) / l.took.Seconds() }

func (l *loaded) at(q float64) float64 {
	if len(l.late) == 0 {
		return 0
	}
	return l.late[min(int(q*float64(len(l.late))), len(l.late)-1)]
}

// closed has lookupClients clients call one time after the other for so long.
func closed(ctx context.Context, long time.Duration, call func(client, i int) error) loaded {
	var l loaded
	var calls atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	began := time.Now()
	end := began.Add(long)
	for c := range lookupClients {
		wg.Go(func() {
			n := 0
			for ; time.Now().Before(end) && ctx.Err() == nil; n++ {
				if err := call(c, n); err != nil {
					once.Do(func() { l.err = err })
					break
				}
			}
			calls.Add(int64(n))
		})
	}
	wg.Wait()
	l.calls, l.took = int(calls.Load()), time.Since(began)
	if l.err == nil {
		l.err = ctx.Err()
	}
	return l
}

// open calls at a constant rate, each call when it is due, whatever became of those
// before it. A call that waits for its turn waits from when it was due.
func open(ctx context.Context, rate float64, long time.Duration, call func(i int) error) loaded {
	const most = 256 // calls at once
	n := int(rate * long.Seconds())
	l := loaded{calls: n, late: make([]float64, n)}
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	began := time.Now()
	step := float64(time.Second) / rate
	var turn sync.Mutex // who waits for the next call's time; the others wait for him
	for range most {
		wg.Go(func() {
			for ctx.Err() == nil {
				turn.Lock()
				i := int(next.Add(1)) - 1
				due := began.Add(time.Duration(float64(i) * step))
				if i < n {
					sleep(time.Until(due))
				}
				turn.Unlock()
				if i >= n {
					return
				}
				if err := call(i); err != nil {
					once.Do(func() { l.err = err })
					return
				}
				l.late[i] = 1000 * time.Since(due).Seconds()
			}
		})
	}
	wg.Wait()
	l.took = time.Since(began)
	slices.Sort(l.late)
	if l.err == nil {
		l.err = ctx.Err()
	}
	return l
}
