package check

import (
	"context"
	"errors"
	"io"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/profile"
)

// Profile looks at a file; of the options those count that say how it is read.
func Profile(ctx context.Context, o Options) (*profile.Profiler, error) {
	r, err := tabular.Open(ctx, o.Path, tabular.ReadOptions{Format: o.Format, Types: o.Types, Nulls: o.Nulls, Separator: o.Separator})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := knownColumns(o.Path, r.Schema(), o.Types); err != nil {
		return nil, err
	}
	var types []feature.Type
	for _, f := range r.Schema().Fields() {
		t, _ := tabular.TypeOf(f.Type)
		types = append(types, t)
	}
	format := o.Format
	if format == "" {
		if format, err = tabular.FormatOf(o.Path); err != nil {
			return nil, err
		}
	}
	p := profile.New(r.Schema(), types, profile.Options{JSONText: format == tabular.JSONLines, Nested: r.Nested()})
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		err = p.Add(rec)
		rec.Release()
		if err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(r.Progress())
		}
	}
}
