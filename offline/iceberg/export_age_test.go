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

// Leftovers are the files in a table's folder that nothing names.
func Leftovers(ctx context.Context, t *Table) (out []string, err error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	named, err := t.named(ctx, now)
	if err != nil {
		return nil, err
	}
	key := t.store.files.key
	for _, folder := range []string{"data", "metadata"} {
		err := t.store.files.list(ctx, t.store.files.join(t.location, folder), func(f fileInfo) error {
			if named[key(f.name)] {
				delete(named, key(f.name))
			} else if !spared(key(f.name), named) {
				out = append(out, f.name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for k := range named {
		out = append(out, "missing: "+k)
	}
	return out, nil
}

// Manifests is how many manifests the newest snapshot has, and how large the metadata is.
func Manifests(ctx context.Context, t *Table) (manifests, bytes int, err error) {
	now, err := t.load(ctx)
	if err != nil {
		return 0, 0, err
	}
	list, err := now.meta.CurrentSnapshot().Manifests(t.store.files)
	if err != nil {
		return 0, 0, err
	}
	b, err := t.store.files.ReadFile(now.location)
	return len(list), len(b), err
}
