package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// judge is a view as an older catalog revision judges its events: with the
// schema, the suite and the features of then, which the suite speaks of. The rows
// that pass are rows of the current view all the same: its columns are decoded
// beside those of then and picked out at the end.
type judge struct {
	revision int64
	view     *feature.View
	pick     []int // for each column of the current view, its place in view; nil: they are the same

	compile sync.Once
	suite   *expect.Suite // of view; nil where it has none
	err     error
}

// judgeOf makes the judge of a view from an older version of it; nil when the
// two judge every event alike.
func judgeOf(old, now *feature.View) *judge {
	v := *now
	v.SourceOf, v.Suite, v.SuiteOf = old.SourceOf, old.Suite, old.SuiteOf
	j := &judge{view: &v}
	same := func(a, b feature.Field) bool {
		return a.Name == b.Name && a.Type == b.Type && a.EventPath() == b.EventPath()
	}
	// What was added since does not judge, and what only moved neither.
	if slices.ContainsFunc(old.Features, func(o feature.Field) bool {
		return !slices.ContainsFunc(now.Features, func(n feature.Field) bool { return same(o, n) })
	}) {
		v.Features = slices.Clone(old.Features)
		for i := range now.Keys {
			j.pick = append(j.pick, i)
		}
		for _, n := range now.Features {
			at := slices.IndexFunc(old.Features, func(o feature.Field) bool { return same(o, n) })
			if at < 0 {
				n.Path, n.Name = n.EventPath(), "now."+n.Name // no name has a dot
				at, v.Features = len(v.Features), append(v.Features, n)
			}
			j.pick = append(j.pick, len(now.Keys)+at)
		}
	}
	if j.pick == nil && sameJudge(old, now) {
		return nil
	}
	return j
}

// sameJudge reports whether two versions of a view with the same features judge every event alike.
func sameJudge(a, b *feature.View) bool {
	suite := func(v *feature.View) []byte {
		if v.SuiteOf == nil {
			return nil
		}
		text, _ := json.Marshal(v.SuiteOf.Expectations) // from JSON it came
		return text
	}
	s, t := a.SourceOf, b.SourceOf
	same := func(x, y *feature.TimeField) bool { return x == y || x != nil && y != nil && *x == *y }
	return bytes.Equal(suite(a), suite(b)) && bytes.Equal(s.Schema, t.Schema) && s.EventTime == t.EventTime && s.Encoding() == t.Encoding() &&
		same(s.Created, t.Created) && s.Future() == t.Future()
}

// project gives the rows of a batch of j.view as rows of the current view.
func (j *judge) project(b *feature.Batch, now *feature.View) *feature.Batch {
	pick := func(rows arrow.RecordBatch) arrow.RecordBatch {
		cols := make([]arrow.Array, len(j.pick))
		for i, at := range j.pick {
			cols[i] = rows.Column(at)
		}
		return array.NewRecordBatch(now.Schema(), cols, rows.NumRows())
	}
	out := *b
	out.View, out.Rows = now, pick(b.Rows)
	if b.Held != nil {
		held := *b.Held
		held.Rows, out.Held = pick(held.Rows), &held
	}
	return &out
}

// judgeAt finds who judged the events from a position of that revision on; nil
// when it is as the current revision does. They may have been judged
// before a crash already and must be judged alike.
func (p *Pipeline) judgeAt(ctx context.Context, now *feature.View, revision int64) (*judge, error) {
	if revision == 0 || revision == p.Revision || p.Judge == nil {
		return nil, nil
	}
	old, err := p.Judge(ctx, revision, now.Meta.Project, now.Meta.Name)
	if err != nil {
		if feature.KindOf(err) == feature.NotFound {
			return nil, nil // the view did not exist then, so nothing was judged
		}
		return nil, err
	}
	j := judgeOf(old, now)
	if j != nil {
		j.revision = revision
	}
	return j, nil
}

func judgeFrom(c Catalogs) Judge {
	return func(ctx context.Context, revision int64, project, view string) (*feature.View, error) {
		cat, err := c.At(ctx, revision)
		if err != nil {
			return nil, err
		}
		return cat.View(project, view)
	}
}
