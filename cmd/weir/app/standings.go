package app

import (
	"context"
	"sync"
	"time"
)

// standings has those who wait for tables share the looks at them: however many wait for one, it is read once every standingAge, and by nobody once
// nobody waits.
type standings struct {
	mu   sync.Mutex
	last map[string]*standing // guarded by mu
}

// standing is one look. It goes on when whoever began it waits no longer, for others may.
type standing struct {
	began time.Time
	done  chan struct{}
	at    map[int32]int64
	id    [16]byte // of the topic
	err   error
}

const (
	standingAge      = 50 * time.Millisecond
	standingPatience = 10 * time.Second
)

// of gives where a table was no longer than standingAge ago, or as long as the look takes that is under way. Nothing of it may be changed.
func (s *standings) of(ctx context.Context, key string, read func(context.Context) (map[int32]int64, [16]byte, error)) (map[int32]int64, [16]byte, error) {
	s.mu.Lock()
	x := s.last[key]
	if x == nil || over(x) && time.Since(x.began) >= standingAge {
		x = &standing{began: time.Now(), done: make(chan struct{})}
		if s.last == nil || len(s.last) >= 1000 { // of views that are no more, too
			s.last = map[string]*standing{}
		}
		s.last[key] = x
		go func() {
			defer close(x.done)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), standingPatience)
			defer cancel()
			x.at, x.id, x.err = read(ctx)
		}()
	}
	s.mu.Unlock()
	select {
	case <-x.done:
		return x.at, x.id, x.err
	case <-ctx.Done():
		return nil, [16]byte{}, ctx.Err()
	}
}

func over(x *standing) bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}
