package command

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/profile"
)

// profileView looks at the newest rows of a view's table, without its tombstones and
// without what the view masks.
func (e *env) profileView(ctx context.Context, f *profileFlags, name string) (p *profile.Profiler, err error) {
	if f.limit < 0 || f.hours < 0 || math.IsNaN(f.hours) {
		return nil, fmt.Errorf("--limit and --hours must not be negative; 0 is no limit")
	}
	since := int64(math.MinInt64)
	if f.hours > 0 {
		if f.hours > 24*366*1000 {
			return nil, fmt.Errorf("--hours %g: that is more than a thousand years", f.hours)
		}
		since = time.Now().Add(-time.Duration(f.hours * float64(time.Hour))).UnixMicro()
	}
	err = e.call(ctx, func(ctx context.Context, c *client) error {
		v, err := c.view(ctx, name)
		if err != nil {
			return err
		}
		_, err = receiveRows(ctx, c, &weirv1.TableRowsRequest{Project: c.project, View: name, Limit: f.limit}, func(r io.Reader) error {
			p, err = profileRows(r, v, since)
			return err
		})
		return err
	})
	return p, err
}

// profileRows profiles the rows of an Arrow stream, as offline.RowsSchema has them, that are of a time or later.
func profileRows(r io.Reader, v *feature.View, since int64) (*profile.Profiler, error) {
	in, err := ipc.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer in.Release()
	n := len(v.Columns())
	times, gone := in.Schema().FieldIndices(offline.ColEffective), in.Schema().FieldIndices(offline.ColTombstone)
	if len(times) != 1 || len(gone) != 1 || in.Schema().NumFields() < n {
		return nil, fmt.Errorf("the server's rows are not those of view %s; is it newer than this weir?", v.ID())
	}
	schema := arrow.NewSchema(in.Schema().Fields()[:n], nil)
	o := profile.Options{Unordered: true, Masked: map[string]bool{}}
	var types []feature.Type
	mask := v.Mask()
	for _, c := range schema.Fields() {
		t, _ := tabular.TypeOf(c.Type)
		types = append(types, t)
		o.Masked[c.Name] = mask.Hides(c.Name)
	}
	p := profile.New(schema, types, o)
	for in.Next() {
		rec := in.RecordBatch()
		at, isTime := rec.Column(times[0]).(*array.Timestamp)
		deleted, isFlag := rec.Column(gone[0]).(*array.Boolean)
		if !isTime || !isFlag {
			return nil, fmt.Errorf("the server's rows are not those of view %s; is it newer than this weir?", v.ID())
		}
		rows := array.NewRecordBatch(schema, rec.Columns()[:n], rec.NumRows())
		keep := func(i int) bool { return int64(at.Value(i)) >= since && !deleted.Value(i) }
		for from, all := 0, int(rec.NumRows()); from < all; {
			to := from
			for to < all && keep(to) {
				to++
			}
			if to > from {
				part := rows.NewSlice(int64(from), int64(to))
				err = p.Add(part)
				part.Release()
			}
			if err != nil {
				rows.Release()
				return nil, err
			}
			for from = to; from < all && !keep(from); {
				from++
			}
		}
		rows.Release()
	}
	return p, in.Err()
}
