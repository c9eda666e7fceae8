package iceberg

import (
	"context"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

func (t *Table) unsupported(op string) error {
	return feature.Errorf(feature.Unsupported, "iceberg."+op, "view "+t.view.ID(), "not supported yet")
}

func (t *Table) Untag(context.Context, string) error { return t.unsupported("untag") }
func (t *Table) History(context.Context) ([]offline.Snapshot, error) {
	return nil, t.unsupported("history")
}
func (t *Table) Replace(context.Context, *offline.Rewrite) error   { return t.unsupported("replace") }
func (t *Table) Rollback(context.Context, *offline.Rollback) error { return t.unsupported("rollback") }
func (t *Table) Rollbacks(context.Context) ([]offline.RolledBack, error) {
	return nil, t.unsupported("rollbacks")
}
func (t *Table) Expire(context.Context, offline.ExpireOptions) (offline.Expired, error) {
	return offline.Expired{}, t.unsupported("expire")
}
func (t *Table) Sweep(context.Context, offline.SweepOptions) (offline.Swept, error) {
	return offline.Swept{}, t.unsupported("sweep")
}
