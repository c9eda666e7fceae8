package offline

import (
	"context"
	"errors"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// dayWriter writes the rows of a day into a file. It is kept between files, for
// its buffers are worth more than the file when a flush touches hundreds of days.
// One goroutine at a time.
type dayWriter struct {
	enc     *fileEncoder
	groupBy int
	sort    sorter
	source  source
}

func newDayWriter(view *feature.View, cols []Column, cfg Config) *dayWriter {
	return &dayWriter{enc: newFileEncoder(view, cols, cfg), groupBy: cfg.RowGroupRows, source: source{cols: cols, features: len(view.Keys) + len(view.Features)}}
}

// write makes one file of a day's rows, in the table's order.
func (w *dayWriter) write(ctx context.Context, t Table, name string, set *rowSet, day dayRows) (File, error) {
	created := time.Now().UnixMicro()
	fw, err := t.Create(ctx, name)
	if err != nil {
		return File{}, err
	}
	defer fw.Abort()
	rows := w.sort.sorted(set, day)
	w.source.reset(set, len(rows))
	w.enc.start(fw)
	for lo := 0; lo < len(rows); lo += w.groupBy {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		group := rows[lo:min(lo+w.groupBy, len(rows))]
		w.source.gatherSystem(group)
		if err := w.enc.group(len(group), func(ci int) (*columnData, error) { return w.source.column(ci, group), nil }); err != nil {
			return File{}, fileError(name, err)
		}
	}
	f, err := w.enc.finish()
	if err != nil {
		return File{}, fileError(name, err)
	}
	f.CreatedAt = created
	f.Path, err = fw.Commit()
	return f, err
}

// fileError is what went wrong while a file was written: most often, writing.
func fileError(name string, err error) error {
	var known *feature.Error
	if errors.As(err, &known) {
		return err
	}
	return &feature.Error{Kind: feature.Unavailable, Op: "offline.stage", What: "file " + name, Err: err,
		Hint: "look at the space and the rights of the warehouse"}
}

// dayName is the folder of a day's files, as Iceberg names it.
func dayName(day int32) string {
	return ColEffective + "_day=" + time.Unix(int64(day)*24*60*60, 0).UTC().Format("2006-01-02")
}
