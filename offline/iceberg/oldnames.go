package iceberg

import (
	"context"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
)

// oldPartition is what offline.ColPartition was called until engines were found
// that keep the name for themselves.
const oldPartition = "_partition"

// renameOld gives a table from before its present column name. Files are read by
// column id, so nothing else changes.
func (t *Table) renameOld(ctx context.Context) error {
	old := func(l *loaded) bool {
		s := l.meta.CurrentSchema()
		_, has := s.FindFieldByName(oldPartition)
		_, done := s.FindFieldByName(offline.ColPartition)
		return has && !done
	}
	if !old(t.seen()) {
		return nil
	}
	return t.change(ctx, "iceberg.evolve", func(now *loaded, tx *table.Transaction) (bool, error) {
		if !old(now) {
			return false, nil
		}
		return true, tx.UpdateSchema(true, false).RenameColumn([]string{oldPartition}, offline.ColPartition).Commit()
	})
}
