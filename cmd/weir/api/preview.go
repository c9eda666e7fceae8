package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

// Preview says what suites would have held back of the rows that tables have.
// Whatever goes wrong is said of the suite and is no error: nobody who wants to
// apply something is to wait for it, or to be kept from it.
type Preview struct {
	Tables offline.Store
	// Again judges quarantined entries of a time as a catalog to come would: how many
	// were looked at, and how many would pass. May be nil.
	Again func(ctx context.Context, next *registry.Catalog, v *feature.View, from, to int64) (held, passing int64, err error)

	Rows int64         // most rows of a view that are looked at; a million when 0
	Time time.Duration // most time for a view; 5s when 0
}

const (
	previewRows     = 1_000_000
	previewTime     = 5 * time.Second
	previewSlices   = 24 // the time is looked at in so many steps, the newest first
	previewExamples = 3
)

// errEnough ends a scan that has seen enough.
var errEnough = errors.New("enough")

// Of previews what changes from one catalog to the next.
func (p *Preview) Of(ctx context.Context, now, next *registry.Catalog, span int64) []*weirv1.SuitePreview {
	var out []*weirv1.SuitePreview
	for _, v := range next.Views() {
		old, err := now.View(v.Meta.Project, v.Meta.Name)
		if err != nil {
			continue // a view that is new has no rows
		}
		var of []*weirv1.SuitePreview
		var suites []*feature.Suite
		add := func(s *feature.Suite, shadow bool) {
			of = append(of, &weirv1.SuitePreview{Project: v.Meta.Project, View: v.Meta.Name, Suite: s.Meta.Name, Shadow: shadow})
			suites = append(suites, s)
		}
		if v.SuiteOf != nil && !sameSuite(v.SuiteOf, old.SuiteOf) {
			add(v.SuiteOf, false)
		}
		if v.ShadowOf != nil && !sameSuite(v.ShadowOf, old.ShadowOf) {
			add(v.ShadowOf, true)
		}
		schema := !bytes.Equal(v.SourceOf.Schema, old.SourceOf.Schema)
		if len(of) == 0 && !schema {
			continue
		}
		p.view(ctx, old, v, suites, of, span)
		if schema {
			of = append(of, &weirv1.SuitePreview{Project: v.Meta.Project, View: v.Meta.Name,
				None: "a schema judges events as they came, and the table keeps their values only"})
		}
		p.again(ctx, next, v, of, span)
		out = append(out, of...)
	}
	return out
}

func sameSuite(a, b *feature.Suite) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, _ := json.Marshal(a.Expectations) // from JSON it came
	y, _ := json.Marshal(b.Expectations)
	return bytes.Equal(x, y)
}

// again counts the entries in quarantine that would pass, once for all of a view's previews.
func (p *Preview) again(ctx context.Context, next *registry.Catalog, v *feature.View, of []*weirv1.SuitePreview, span int64) {
	enforced := of[0]
	if p.Again == nil || enforced.Shadow {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.time())
	defer cancel()
	to := time.Now().UnixMicro()
	if enforced.To > 0 {
		to = max(to, enforced.To+1)
	}
	held, passing, err := p.Again(ctx, next, v, to-span, to)
	if err == nil {
		enforced.Held, enforced.HeldPassing = held, passing
	}
}

func (p *Preview) time() time.Duration {
	if p.Time > 0 {
		return p.Time
	}
	return previewTime
}

// view looks at the rows of one view for all its suites.
func (p *Preview) view(ctx context.Context, old, v *feature.View, suites []*feature.Suite, of []*weirv1.SuitePreview, span int64) {
	var runs []*previewRun
	for i, s := range suites {
		r, why := newPreviewRun(old, v, s, of[i])
		if of[i].None = why; why == "" {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return
	}
	none := func(why string) {
		for _, r := range runs {
			r.out.None = why
		}
	}
	t, err := p.Tables.Table(ctx, old)
	if err != nil {
		none(err.Error())
		return
	}
	defer t.Close()
	st, err := t.Load(ctx, offline.Version{})
	if err != nil {
		none(err.Error())
		return
	}
	newest, any := int64(0), false
	for _, f := range st.Files {
		if f.MaxEvent != offline.UnknownMax && (!any || f.MaxEvent > newest) {
			newest, any = f.MaxEvent, true
		}
	}
	if !any {
		none("the table has no rows")
		return
	}
	seen, cut, err := p.scan(ctx, t, newest, span, runs)
	if err != nil && seen == 0 {
		none(err.Error())
		return
	}
	for _, r := range runs {
		r.out.From, r.out.To, r.out.Rows, r.out.Cut = newest-span, newest, seen, cut
		r.finish()
	}
}

// scan shows rows to the runs, the newest slice of time first.
func (p *Preview) scan(ctx context.Context, t offline.Table, newest, span int64, runs []*previewRun) (seen int64, cut string, err error) {
	most := p.Rows
	if most <= 0 {
		most = previewRows
	}
	ctx, cancel := context.WithTimeout(ctx, p.time())
	defer cancel()
	for i := range int64(previewSlices) {
		from, to := newest+1-span*(i+1)/previewSlices, newest+1-span*i/previewSlices
		if from >= to {
			continue
		}
		err = offline.Scan(ctx, t, offline.ScanOptions{EventFrom: from, EventTo: to}, func(b *feature.Batch) error {
			for _, r := range runs {
				if err := r.judge(b); err != nil {
					return err
				}
			}
			if seen += int64(b.Len()); seen >= most {
				return errEnough
			}
			return nil
		})
		switch {
		case errors.Is(err, errEnough):
			return seen, fmt.Sprintf("only the newest %d rows, about, were looked at", seen), nil
		case ctx.Err() != nil:
			return seen, fmt.Sprintf("only the newest %d rows, about, were looked at: no more could be in %s", seen, p.time()), context.Cause(ctx)
		case err != nil:
			return seen, "the table could not be read to the end: " + err.Error(), err
		}
	}
	return seen, "", nil
}

// previewRun is one suite on its way over a table.
type previewRun struct {
	view    *feature.View // as it will be
	suite   *expect.Suite
	schema  *arrow.Schema
	from    []int // the place of each column in the batches; -1 where the table has none
	verdict validate.Verdict
	out     *weirv1.SuitePreview
	mask    *feature.Mask
}

// newPreviewRun compiles a suite for the rows that a table has; why says what is in the way.
func newPreviewRun(old, v *feature.View, s *feature.Suite, out *weirv1.SuitePreview) (r *previewRun, why string) {
	suite, faults := expect.CompileView(s, v)
	if len(faults) > 0 {
		return nil, feature.JoinFaults(faults).Error()
	}
	r = &previewRun{view: v, suite: suite, schema: v.Schema(), out: out, mask: v.Mask()}
	place := map[string]int{}
	for i, c := range old.Columns() {
		place[c.Stored()] = i
	}
	before := old.Columns()
	for _, c := range v.Columns() {
		at, there := place[c.Stored()]
		if !there || before[at].Type != c.Type {
			at = -1
			for _, rule := range suite.Rules() {
				for _, name := range strings.Split(rule.Path, ",") {
					if name == c.Name {
						return nil, fmt.Sprintf("the table has no %s as it will be", c.Name)
					}
				}
			}
		}
		r.from = append(r.from, at)
	}
	for _, rule := range suite.Rules() {
		out.Rules = append(out.Rules, &weirv1.PreviewRule{Expectation: rule.Type, Column: rule.Path, Expected: rule.Expected, Severity: string(rule.Severity), Rejects: rule.Rejects})
	}
	return r, ""
}

func (r *previewRun) judge(b *feature.Batch) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = feature.Errorf(feature.Internal, "registry.preview", "suite "+r.out.Suite, "judging rows failed: %v", x)
		}
	}()
	cols := make([]arrow.Array, len(r.from))
	for i, at := range r.from {
		if at >= 0 {
			cols[i] = b.Rows.Column(at)
			continue
		}
		none := array.MakeArrayOfNull(memory.DefaultAllocator, r.schema.Field(i).Type, b.Len())
		defer none.Release()
		cols[i] = none
	}
	rows := array.NewRecordBatch(r.schema, cols, int64(b.Len()))
	defer rows.Release()
	as := *b
	as.View, as.Rows = r.view, rows
	if err := r.suite.Check(&as, &r.verdict); err != nil {
		return err
	}
	r.out.Rejected += int64(len(r.verdict.Rejected()))
	for i, c := range r.verdict.Counts() {
		out := r.out.Rules[i]
		out.Evaluated, out.Failed = out.Evaluated+c.Evaluated, out.Failed+c.Failed
		for row := range r.verdict.Failures(i).Rows() {
			if len(out.Examples) == previewExamples {
				break
			}
			out.Examples = append(out.Examples, r.example(&as, out.Column, row))
		}
	}
	return nil
}

// example shows a row; what the view masks stays hidden.
func (r *previewRun) example(b *feature.Batch, columns string, row int) *weirv1.PreviewExample {
	show := func(names []string) string {
		var out []string
		for _, name := range names {
			at := -1
			for i, c := range r.view.Columns() {
				if c.Name == name {
					at = i
				}
			}
			switch {
			case at < 0:
				continue
			case r.mask.Hides(name):
				out = append(out, name+"=***")
			case b.Rows.Column(at).IsNull(row):
				out = append(out, name+"=null")
			default:
				out = append(out, name+"="+feature.Shorten([]byte(b.Rows.Column(at).ValueStr(row))))
			}
		}
		return strings.Join(out, ",")
	}
	keys := make([]string, len(r.view.Keys))
	for i, k := range r.view.Keys {
		keys[i] = k.Name
	}
	return &weirv1.PreviewExample{Key: show(keys), Value: show(strings.Split(columns, ",")), EventTime: b.EventTime[row]}
}

// finish leaves out the rules that nothing failed.
func (r *previewRun) finish() {
	var failed []*weirv1.PreviewRule
	for _, x := range r.out.Rules {
		if x.Failed > 0 {
			failed = append(failed, x)
		}
	}
	r.out.Rules = failed
}

// Preview says what suites that the files bring or change would have held back.
func (s *Definitions) Preview(ctx context.Context, req *weirv1.PreviewRequest) (*weirv1.PreviewResponse, error) {
	if s.Previews == nil {
		return nil, feature.Errorf(feature.Unsupported, "registry.preview", "", "this process has no tables")
	}
	docs, faults := parse(req.Files)
	if len(faults) > 0 {
		return &weirv1.PreviewResponse{}, nil // the plan says which
	}
	plan, err := s.Registry.Plan(ctx, registry.Request{Definitions: docs.Definitions(), Project: req.DefaultProject})
	if err != nil {
		return nil, err
	}
	next := plan.Next()
	if next == nil || plan.Empty() {
		return &weirv1.PreviewResponse{}, nil
	}
	now, err := s.Registry.At(ctx, plan.Base)
	if err != nil {
		return nil, err
	}
	span := req.Span
	if span <= 0 {
		span = (24 * time.Hour).Microseconds()
	}
	return &weirv1.PreviewResponse{Previews: s.Previews.Of(ctx, now, next, span)}, nil
}
