package iceberg

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// Standing is where a view's table stands, without making one where there is none.
func (s *Store) Standing(ctx context.Context, v *feature.View) ([]feature.Position, error) {
	now, err := s.newestOf(ctx, tableName{v.Meta.Project, v.Meta.Name})
	if err != nil || now == nil {
		return nil, err
	}
	t := &Table{store: s, view: v, location: now.seen().meta.Location(), newest: now}
	st, err := t.standingOf(now.seen().meta)
	return st.positions, err
}
