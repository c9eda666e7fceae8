package offline

import (
	"context"
	"runtime"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

func (sh *spineShape) joined(s *feature.Service) *arrow.Schema {
	fields := slices.Clone(sh.schema.Fields())
	for _, c := range s.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: s.Views[c.View].Features[c.Feature].Type.Exchange(), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// joiner is one join: what its chunks share.
type joiner struct {
	service  *feature.Service
	shape    *spineShape
	schema   *arrow.Schema
	views    []*viewJoin
	memory   int64
	workers  int
	slots    chan struct{} // a place for each goroutine that computes
	progress *progress
	texts    *textLengths
	spill    *spill
	result   JoinResult
	packed   bool // arrays are given out as they are packed, not as lists
}

// viewJoin is one view of a join.
type viewJoin struct {
	view     *feature.View
	table    Table
	state    *State
	event    bool     // event clock
	ttl      int64    // microseconds; 0 never expires
	columns  []Column // the wanted features as the table knows them
	outputs  []int    // by wanted feature: the service column
	keys     []Column
	keyLong  bool
	order    []int  // files, newest first
	fileDone []bool // opened at least once, for the count
}

func newJoiner(ctx context.Context, req JoinRequest) (*joiner, error) {
	j := &joiner{service: req.Service, memory: req.Memory, workers: req.Workers}
	if j.workers <= 0 {
		j.workers = runtime.GOMAXPROCS(0)
	}
	j.slots = make(chan struct{}, j.workers)
	if len(req.Tables) != len(req.Service.Views) {
		return nil, feature.Errorf(feature.Internal, opJoin, "service "+req.Service.Meta.Name, "%d tables for %d views", len(req.Tables), len(req.Service.Views))
	}
	if req.Clock != "" && req.Clock != feature.KnownClock && req.Clock != feature.EventClock {
		return nil, feature.Errorf(feature.Invalid, opJoin, "", "unknown clock %q", req.Clock).WithHint("use known or event")
	}
	var err error
	if j.shape, err = req.Spine.shape(req.Service); err != nil {
		return nil, err
	}
	for i, v := range req.Service.Views {
		vj, err := newViewJoin(ctx, v, req.Tables[i], req.Clock == feature.EventClock)
		if err != nil {
			return nil, err
		}
		j.views = append(j.views, vj)
	}
	for ci, c := range req.Service.Columns {
		vj := j.views[c.View]
		vj.outputs = append(vj.outputs, ci)
		vj.columns = append(vj.columns, vj.tableColumn(vj.view.Features[c.Feature]))
	}
	j.schema = j.shape.joined(req.Service)
	j.result.Nulls = make([]int64, len(req.Service.Columns))
	return j, nil
}

func newViewJoin(ctx context.Context, v *feature.View, at TableAt, event bool) (*viewJoin, error) {
	state, err := at.Table.Load(ctx, at.Version)
	if err != nil {
		return nil, err
	}
	vj := &viewJoin{view: v, table: at.Table, state: state, event: event, ttl: v.TTL.Micros(), keyLong: longKeys(v.Keys)}
	for _, k := range v.Keys {
		c := vj.tableColumn(k)
		c.Required = true
		vj.keys = append(vj.keys, c)
	}
	vj.order = make([]int, len(state.Files))
	for i := range vj.order {
		vj.order[i] = i
	}
	slices.SortStableFunc(vj.order, func(a, b int) int {
		ma, mb := vj.newest(a), vj.newest(b)
		switch {
		case ma > mb:
			return -1
		case ma < mb:
			return 1
		}
		return 0
	})
	vj.fileDone = make([]bool, len(state.Files))
	return vj, nil
}

// tableColumn is the table's column for a key or feature: the service's version
// of the view gives the type, the table the id.
func (v *viewJoin) tableColumn(f feature.Field) Column {
	c := Column{Name: f.Name, Type: f.Type}
	for _, t := range v.table.Columns() {
		if t.Stored == f.Stored() {
			c.ID = t.ID
		}
	}
	return c
}

// systemColumn is one of the table's system columns.
func (v *viewJoin) systemColumn(name string, t feature.Type) Column {
	c := v.tableColumn(feature.Field{Name: name, Type: t})
	c.Required = true
	return c
}

// newest is the upper bound of the time that orders a file's rows.
func (v *viewJoin) newest(file int) int64 {
	if v.event {
		return v.state.Files[file].MaxEvent
	}
	return v.state.Files[file].MaxEffective
}

// earliest is a time before which no spine row can see any row of the file.
func (v *viewJoin) earliest(file int) int64 {
	if v.event {
		return v.state.Files[file].MinEvent
	}
	return v.state.Files[file].MinKnown
}

// rowBytes is about what the join holds for one spine row beside the row itself.
func (j *joiner) rowBytes() int64 {
	n := int64(20 * len(j.shape.sets))            // sorted keys and times; sorting takes more, but before the features come
	n += int64(28 * min(j.workers, len(j.views))) // candidates, what is open, and what is active or won
	for _, v := range j.views {
		for _, c := range v.columns {
			switch {
			case c.Type == feature.Bool:
				n += 2
			case c.Type.Variable():
				n += 25 + j.texts.each
			default:
				n += 9
			}
		}
	}
	return n
}

// chunk joins one chunk of the spine: sort, then for all views match and fetch, then give out.
func (j *joiner) chunk(ctx context.Context, c *spineChunk, sink func(arrow.RecordBatch) error) error {
	sorted := make([]*sortedSpine, len(j.shape.sets))
	for i, set := range j.shape.sets {
		var err error
		if sorted[i], err = j.shape.sortSpine(c, set); err != nil {
			return err
		}
	}
	j.progress.begin(c.rows, j.views)
	out := make([]feature.Vector, len(j.service.Columns))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(j.workers)
	counts := make([]viewCounts, len(j.views))
	for i, v := range j.views {
		g.Go(func() error {
			m := newMatch(v, sorted[j.shape.setOf[i]])
			if err := j.match(gctx, m); err != nil {
				return err
			}
			counts[i] = m.counts
			return j.fetch(gctx, m, c.rows, out)
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	for i, n := range counts {
		j.result.RowsRead += n.rows
		for f, opened := range n.opened {
			if opened && !j.views[i].fileDone[f] {
				j.views[i].fileDone[f] = true
				j.result.FilesRead++
			}
		}
	}
	j.progress.writing()
	if err := j.emit(ctx, c, out, sink); err != nil {
		return err
	}
	j.result.FilesSkipped = 0
	for _, v := range j.views {
		j.result.FilesSkipped += int64(len(v.fileDone))
	}
	j.result.FilesSkipped -= j.result.FilesRead
	return nil
}

// compute takes a place among the goroutines that compute; the caller gives it back.
func (j *joiner) compute(ctx context.Context) (back func(), err error) {
	select {
	case j.slots <- struct{}{}:
		return func() { <-j.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
