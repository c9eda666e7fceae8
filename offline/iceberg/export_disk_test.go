package iceberg

import "github.com/weir-ml/weir/offline"

// FailDisk has every step of writing into a table's warehouse ask fault first.
func FailDisk(t offline.Table, fault func(step, path string) error) {
	t.(*Table).store.files.fault = fault
}
