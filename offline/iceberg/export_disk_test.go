package iceberg

import (
	"sync"

	"github.com/weir-ml/weir/offline"
)

// FailDisk has every step of writing into a table's warehouse ask fault first,
// one at a time.
func FailDisk(t offline.Table, fault func(step, path string) error) {
	var mu sync.Mutex
	t.(*Table).store.files.place.(*local).fault = func(step, path string) error {
		mu.Lock()
		defer mu.Unlock()
		return fault(step, path)
	}
}
