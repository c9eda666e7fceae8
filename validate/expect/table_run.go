package expect

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// runRows is how many rows the loops take at once: few enough for the columns to
// stay in the processor's cache from one loop to the next.
const runRows = 8192

// Run judges one table. It belongs to one goroutine.
type Run struct {
	suite   *TableSuite
	o       TableOptions
	batch   *batch
	fail    validate.Bitmap
	rules   []*ruleState // one per entry, nil where it has none
	metrics []metric
	rows    int64
	decided bool
	closed  bool
}

// Add judges the next rows of the table. The record must have the schema that the
// suite was compiled for, but that columns of texts may be places (int32) in a
// dictionary of them, none outside of it; nothing of it is kept. After an error, other than
// ErrDecided, only Close is left to call.
func (r *Run) Add(rec arrow.RecordBatch) error {
	if r.decided {
		return ErrDecided
	}
	s := r.suite.suite
	for _, c := range s.columns {
		if c.index >= int(rec.NumCols()) {
			return s.misfit("it has %d columns, and the rules look at column %d (%s)", rec.NumCols(), c.index, c.name)
		}
		if err := s.fits(c, plainOf(rec.Column(c.index).DataType())); err != nil {
			return err
		}
	}
	for from := int64(0); from < rec.NumRows(); from += runRows {
		if err := r.add(rec, from, min(from+runRows, rec.NumRows())); err != nil {
			return err
		}
	}
	if r.decided && r.o.FailFast {
		return ErrDecided
	}
	r.decided = false
	return nil
}

func (r *Run) add(rec arrow.RecordBatch, from, to int64) error {
	b := r.batch
	defer b.release()
	b.reset(int(to-from), nil)
	for i, c := range r.suite.suite.columns {
		arr := array.NewSlice(rec.Column(c.index), from, to)
		b.load(i, c.typ, arr)
		if d, ok := arr.(*array.Dictionary); ok {
			b.cols[i].setCodes(d)
		}
		arr.Release()
	}
	r.fail = resize(r.fail, b.rows)
	for i, st := range r.rules {
		if st == nil {
			continue
		}
		e := &r.suite.entries[i]
		view := b.under(e.under, r.suite.suite.conds)
		clear(r.fail)
		evaluated := st.run(view, r.fail)
		if st.add(view, r.fail, evaluated, r.rows) && e.mostly == 1 {
			r.decided = true
		}
	}
	for i, m := range r.metrics {
		if err := m.add(b.under(r.suite.metrics[i].under, r.suite.suite.conds), r.rows); err != nil {
			return err
		}
	}
	r.rows += int64(b.rows)
	return r.fit()
}

// fit makes the largest metrics give up their memory until the rest is within the limit.
func (r *Run) fit() error {
	for {
		var total, most int64
		var largest metric
		for _, m := range r.metrics {
			n := m.bytes()
			total += n
			if n > most {
				most, largest = n, m
			}
		}
		if total <= r.o.Memory || largest == nil {
			return nil
		}
		if err := largest.spill(); err != nil {
			return err
		}
		if largest.bytes() >= most {
			return nil // it has nothing to give
		}
	}
}

// Finish judges the table that Add has seen. The run is at its end then; only
// Close is left to call.
func (r *Run) Finish() (*Report, error) {
	if r.closed {
		return nil, feature.Errorf(feature.Internal, "expect.finish", "suite "+r.suite.suite.name, "the run is closed")
	}
	out := &Report{Success: true, Rows: r.rows, Results: make([]Result, len(r.suite.entries))}
	for i := range r.suite.entries {
		e, res := &r.suite.entries[i], &out.Results[i]
		res.Expectation = e.written
		if res.Exception = r.there(e.absent); res.Exception != "" {
			out.Success = false
			continue
		}
		switch {
		case e.exception != "":
			res.Exception = e.exception
		case e.unfit != "" && r.rules[i].evaluated > 0:
			res.Exception = e.unfit
		case r.rules[i] != nil:
			r.rules[i].result(res)
			res.Observed = e.observed
		default:
			ms := make([]metric, len(e.metrics))
			for k, m := range e.metrics {
				ms[k] = r.metrics[m]
			}
			if err := e.whole(r, ms, res); err != nil {
				return nil, err
			}
		}
		if res.Map {
			evaluated := res.Elements - res.Missing
			res.Success = validate.Count{Evaluated: evaluated, Failed: res.Unexpected}.Passed(e.mostly)
			if e.nulls {
				res.Missing = -1
			}
		}
		out.Success = out.Success && res.Success
	}
	return out, nil
}

// there is why a column has a value that should have none, "" where none has.
func (r *Run) there(columns []absent) string {
	for _, x := range columns {
		if r.metrics[x.column].(*counter).present > 0 {
			return x.why
		}
	}
	return ""
}

// Close frees what the run holds, also in the middle of a table. It may be called twice.
func (r *Run) Close() error {
	var err error
	for _, m := range r.metrics {
		if e := m.close(); err == nil {
			err = e
		}
	}
	r.metrics, r.rules, r.closed = nil, nil, true
	return err
}
