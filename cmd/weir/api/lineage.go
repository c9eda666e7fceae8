package api

import (
	"context"

	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Lineage is weir.v1.LineageService.
type Lineage struct {
	weirv1.UnimplementedLineageServiceServer
	Registry *registry.Registry
	Tables   offline.Store // nil where they are out of reach
}

// Get follows what was made of what, both ways.
func (s *Lineage) Get(ctx context.Context, req *weirv1.GetLineageRequest) (*weirv1.GetLineageResponse, error) {
	var standing registry.Standing
	if s.Tables != nil {
		standing = s.standing
	}
	l, err := s.Registry.Lineage(ctx, req.Project, req.Kind, req.Name, standing)
	if err != nil {
		return nil, err
	}
	return &weirv1.GetLineageResponse{Of: lineageNode(l.Of), Up: lineageNodes(l.Up), Down: lineageNodes(l.Down)}, nil
}

// standing is where a table stood at a version, with imports and replays where the table's line still tells them.
func (s *Lineage) standing(ctx context.Context, project string, at feature.SnapshotTable) ([]feature.Position, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	v, err := cat.View(project, at.View)
	if err != nil {
		return nil, err
	}
	t, err := s.Tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if all, err := t.PositionsAt(ctx, at.Version); err == nil {
		return all, nil
	}
	st, err := t.Load(ctx, offline.Version{Snapshot: at.Version})
	if err != nil {
		return nil, err
	}
	return st.Positions, nil
}

func lineageNode(n *registry.LineageNode) *weirv1.LineageNode {
	return &weirv1.LineageNode{Kind: n.Kind, Name: n.Name, Details: n.Details, Next: lineageNodes(n.Next)}
}

func lineageNodes(all []*registry.LineageNode) (out []*weirv1.LineageNode) {
	for _, n := range all {
		out = append(out, lineageNode(n))
	}
	return out
}
