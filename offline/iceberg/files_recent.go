package iceberg

import (
	"container/list"
	"sync"
)

const (
	recentFile  = 2 << 20  // larger files are not kept
	recentBytes = 16 << 20 // of all that are
)

// recent keeps small files as they were written or read last: a commit reads the
// list of manifests that the commit before it wrote, and no file ever changes.
type recent struct {
	mu    sync.Mutex
	files map[string]*list.Element
	order list.List // of recentOne, last used first
	used  int
}

type recentOne struct {
	key  string
	data []byte
}

// get returns a copy: who asks may change what it gets.
func (r *recent) get(key string) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.files[key]
	if !ok {
		return nil, false
	}
	r.order.MoveToFront(e)
	return append([]byte(nil), e.Value.(recentOne).data...), true
}

func (r *recent) put(key string, data []byte) {
	if len(data) > recentFile {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[string]*list.Element{}
	}
	if e, ok := r.files[key]; ok {
		r.forget(e)
	}
	r.files[key] = r.order.PushFront(recentOne{key, append([]byte(nil), data...)})
	r.used += len(data)
	for r.used > recentBytes {
		r.forget(r.order.Back())
	}
}

func (r *recent) drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.files[key]; ok {
		r.forget(e)
	}
}

func (r *recent) forget(e *list.Element) {
	one := r.order.Remove(e).(recentOne)
	delete(r.files, one.key)
	r.used -= len(one.data)
}
