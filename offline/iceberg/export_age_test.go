package iceberg

import (
	"context"
	"sync/atomic"
	"time"
)

// Age makes every file of the store that the table's handle belongs to look older.
func (t *Table) Age(by time.Duration) {
	if a, ok := t.store.files.place.(*aged); ok {
		a.by.Add(by.Microseconds())
		return
	}
	a := &aged{place: t.store.files.place}
	a.by.Store(by.Microseconds())
	t.store.files.place = a
}

type aged struct {
	place
	by atomic.Int64
}

func (a *aged) list(ctx context.Context, folder string, f func(fileInfo) error) error {
	return a.place.list(ctx, folder, func(i fileInfo) error {
		i.modified -= a.by.Load()
		return f(i)
	})
}
