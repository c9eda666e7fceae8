package memory

import (
	"context"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

func (t *table) unsupported(op string) error {
	return feature.Errorf(feature.Unsupported, "memory."+op, "view "+t.view.ID(), "not supported yet")
}

func (t *table) Untag(context.Context, string) error { return t.unsupported("untag") }
func (t *table) History(context.Context) ([]offline.Snapshot, error) {
	return nil, t.unsupported("history")
}
func (t *table) Replace(context.Context, *offline.Rewrite) error   { return t.unsupported("replace") }
func (t *table) Rollback(context.Context, *offline.Rollback) error { return t.unsupported("rollback") }
func (t *table) Expire(context.Context, offline.ExpireOptions) (offline.Expired, error) {
	return offline.Expired{}, t.unsupported("expire")
}
func (t *table) Sweep(context.Context, offline.SweepOptions) (offline.Swept, error) {
	return offline.Swept{}, t.unsupported("sweep")
}
