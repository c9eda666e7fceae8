package registry

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// settleMonitors says for each wanted monitor since which version it counts its view (feature.Monitor.SinceVersion), by what it
// was before; what a manifest says of it does not count. The windows of a deleted monitor outlive it, so its versions count as well.
func (p *planner) settleMonitors(ctx context.Context, wanted []feature.Definition) error {
	for _, d := range wanted {
		m, ok := d.(*feature.Monitor)
		if !ok {
			continue
		}
		ref := RefOf(m)
		m.SinceVersion = 0
		if old, ok := p.base.catalog.defs[ref].(*feature.Monitor); ok && old.View == m.View {
			m.SinceVersion = old.SinceVersion
			continue
		}
		h, err := p.store.History(ctx, ref)
		if err != nil {
			return err
		}
		if len(h) == 0 {
			continue
		}
		last := h[len(h)-1]
		d, err := Decode(ref.Kind, last.Body)
		if err != nil {
			return feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
		}
		if before := d.(*feature.Monitor); before.View == m.View {
			m.SinceVersion = before.SinceVersion
		} else {
			m.SinceVersion = last.Version + 1
		}
	}
	return nil
}
