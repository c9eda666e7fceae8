package drift

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// References gives the profiles that were made while snapshots were created (by a
// Profiler), and which features the names in them are.
type References interface {
	SnapshotProfile(ctx context.Context, project, id string) ([]byte, []feature.SnapshotColumn, error)
}

// History reads a view's table: rows with from <= event time < to, in any
// order, the named columns or more. fn may not keep the batch.
type History interface {
	Scan(ctx context.Context, view *feature.View, from, to int64, columns []string, fn func(*feature.Batch) error) error
}

// referenceKey names a monitor's reference profile: another reference, or
// another version of the view, is another profile.
func referenceKey(m *feature.Monitor) string {
	r := m.Reference
	what := "snapshot " + r.Snapshot
	switch {
	case r.Snapshot != "" && m.SinceVersion > 0: // which of its columns the features are depends on the view
		what += " of " + m.ViewOf.ID()
	case r.Snapshot == "":
		what = fmt.Sprintf("range %d %d of %s@%d", r.From.UnixMicro(), r.To.UnixMicro(), m.ViewOf.ID(), m.ViewOf.Version)
	}
	h := sha256.Sum256([]byte(what))
	return m.ID() + "@" + hex.EncodeToString(h[:12])
}

// inReference reports whether a window lies inside the monitor's range of time.
func inReference(m *feature.Monitor, start, end int64) bool {
	r := m.Reference
	return r.Snapshot == "" && !r.To.IsZero() && start >= r.From.UnixMicro() && end <= r.To.UnixMicro()
}

// reference returns the monitor's reference profile; nil when it cannot be
// built yet. past tells whether the end of a range of time is over.
func (w *judging) reference(ctx context.Context, m *feature.Monitor, past func(int64) bool) (*Baseline, error) {
	if !m.Reference.Ready() {
		return nil, nil
	}
	key := referenceKey(m)
	if p := w.refs[key]; p != nil {
		return p, nil
	}
	b, err := w.store.Reference(ctx, key)
	if feature.KindOf(err) == feature.NotFound {
		b, err = w.build(ctx, m, past)
		if err == nil && b != nil {
			err = w.store.PutReference(ctx, key, b, w.now())
		}
	}
	switch {
	case errors.Is(err, errEmptyReference):
		return NewBaseline(&Profile{}), nil // and not kept: its rows may still be imported
	case err != nil || b == nil:
		return nil, err
	}
	p, err := DecodeBaseline(b)
	if err != nil {
		return nil, err
	}
	w.refs[key] = p
	return p, nil
}

func (w *judging) build(ctx context.Context, m *feature.Monitor, past func(int64) bool) ([]byte, error) {
	r := m.Reference
	if r.Snapshot != "" {
		b, columns, err := w.references.SnapshotProfile(ctx, m.Meta.Project, r.Snapshot)
		if err != nil {
			return nil, feature.Errorf(feature.KindOf(err), "drift.reference", "snapshot "+r.Snapshot, "%w", err).
				WithHint("monitor %s compares with it: create it, or name another in its reference", m.ID())
		}
		names := map[string]string{}
		for _, c := range columns {
			if c.View == m.View && c.Column != "" {
				names[c.Name] = c.Column
			}
		}
		if len(names) == 0 {
			return b, nil
		}
		p, err := DecodeProfile(b)
		if err != nil {
			return nil, err
		}
		return p.renamed(names).MarshalBinary()
	}
	to := r.To.UnixMicro()
	if !past(to) {
		return nil, nil
	}
	columns, names := make([]string, len(m.ViewOf.Features)), map[string]string{}
	for i, f := range m.ViewOf.Features {
		columns[i], names[f.Name] = f.Name, f.Stored()
	}
	pr := NewProfiler(columns...)
	parts := newChunker(m, r.From.UnixMicro(), to)
	fold := func(b *feature.Batch) error {
		parts.fold(b)
		return pr.Batch(b)
	}
	if err := w.history.Scan(ctx, m.ViewOf, r.From.UnixMicro(), to, columns, fold); err != nil {
		return nil, feature.Errorf(feature.KindOf(err), "drift.reference", "view "+m.ViewOf.ID(), "%w", err)
	}
	if pr.Profile().Rows == 0 {
		w.log.Warn("the monitor's reference has no rows: nothing can be judged", "monitor", m.ID(), "view", m.View, "from", r.From, "to", r.To)
		return nil, errEmptyReference
	}
	return NewBaseline(pr.Profile().renamed(names), parts.profiles(names)...).MarshalBinary()
}

// errEmptyReference tells that a range of time is over and had no rows.
var errEmptyReference = feature.Errorf(feature.NotFound, "drift.reference", "range", "no rows")
