package compare

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// Method is by which rule a column counts as drifted.
type Method string

const (
	// Weir asks for significance, with the share of false discoveries among all tests
	// bounded (Benjamini-Hochberg), and for a large effect.
	Weir Method = "weir"
	// Evidently is the choice of Evidently 0.7.23's DataDriftPreset: a p-value or a distance
	// against a fixed threshold, by the size of the reference.
	Evidently Method = "evidently"
)

// ParseMethod reads a method's name.
func ParseMethod(s string) (Method, error) {
	switch m := Method(strings.ToLower(s)); m {
	case Weir, Evidently:
		return m, nil
	}
	return "", feature.Errorf(feature.Invalid, "compare.method", s, "unknown method %q", s).WithHint("use weir or evidently")
}

const (
	// DefaultAlpha is the share of false discoveries: with nothing drifted, the chance that any
	// column is called so.
	DefaultAlpha = 0.05
	// DefaultThreshold is from where an effect is large: a distance of numbers in standard
	// deviations of the reference, or the Jensen-Shannon distance of categories.
	DefaultThreshold = 0.1
	// SmallH is from where a change of missing values or unseen categories is large: Cohen's small.
	SmallH = 0.2
	// DefaultMemory is what columns may take, in bytes.
	DefaultMemory = 256 << 20
)

// Options say what is compared with what.
type Options struct {
	Reference, Current string
	// Read says how both files are read: Format, Types, Nulls and Separator.
	Read    tabular.ReadOptions
	Columns []string // all that both have when empty
	Method  Method   // Weir when empty
	Alpha   float64  // of Weir; DefaultAlpha when 0
	// Threshold is from where an effect (Weir) or a test's score (Evidently: of every test) counts; the
	// method's own when 0.
	Threshold float64
	// Share is of how many columns must drift for the files to have; when 0, one column (Weir) or
	// half of them (Evidently).
	Share  float64
	Memory int64 // DefaultMemory when 0
	Plots  bool  // keep what WriteHTML draws
	// Progress hears how many bytes of how many have been read.
	Progress func(done, total int64)
}

func (o Options) withDefaults() Options {
	if o.Method == "" {
		o.Method = Weir
	}
	if o.Alpha == 0 {
		o.Alpha = DefaultAlpha
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	return o
}

// Validate names what cannot be.
func (o *Options) Validate() error {
	bad := func(what string, v float64, hint string) error {
		return feature.Errorf(feature.Invalid, "compare.options", what, "%v", v).WithHint("%s", hint)
	}
	switch {
	case math.IsNaN(o.Alpha) || o.Alpha < 0 || o.Alpha >= 1:
		return bad("alpha", o.Alpha, "give a share between 0 and 1, such as 0.05")
	case math.IsNaN(o.Threshold) || math.IsInf(o.Threshold, 0) || o.Threshold < 0:
		return bad("threshold", o.Threshold, "give a number above 0, such as 0.1")
	case math.IsNaN(o.Share) || o.Share < 0 || o.Share > 1:
		return bad("share", o.Share, "give a share of the columns between 0 and 1")
	}
	return nil
}

// Run compares two files.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	ref, err := openFile(ctx, o.Reference, o.Read)
	if err != nil {
		return nil, err
	}
	defer ref.close()
	cur, err := openFile(ctx, o.Current, o.Read)
	if err != nil {
		return nil, err
	}
	defer cur.close()
	names, err := chosen(ref, cur, o.Columns)
	if err != nil {
		return nil, err
	}
	ref.report(cur, o.Progress)

	r, w := &Report{Method: o.Method, OnlyCurrent: []string{}}, &worker{o: &o}
	done := make(map[string]Column, len(names))
	for left := names; len(left) > 0; {
		// As many columns of the reference as fit into half of the memory, then of the current file.
		a, err := ref.load(ctx, left, o.Memory/2)
		if err != nil {
			return nil, err
		}
		read := left[:len(a)]
		b, err := cur.load(ctx, read, o.Memory/2)
		if err != nil {
			return nil, err
		}
		for i := range b {
			done[read[i]] = w.compareColumn(read[i], a[i], b[i])
			ref.spare.give(a[i])
			cur.spare.give(b[i])
			a[i], b[i] = nil, nil // their memory is wanted for the next
		}
		left = left[len(b):]
	}
	for _, f := range []*file{ref, cur} {
		if f.rows == 0 { // "nothing has drifted" would be said of nothing
			return nil, feature.Errorf(feature.Invalid, "compare", f.path, "the file has no rows").WithHint("give files with rows")
		}
	}
	for _, name := range names {
		r.Columns = append(r.Columns, done[name])
	}
	for _, name := range cur.names {
		if !ref.has(name) && len(o.Columns) == 0 {
			r.OnlyCurrent = append(r.OnlyCurrent, name)
		}
	}
	r.Reference, r.Current = File{o.Reference, ref.rows}, File{o.Current, cur.rows}
	r.decide(&o)
	return r, nil
}

// chosen are the columns to compare, in the reference's order.
func chosen(ref, cur *file, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return ref.names, nil
	}
	for _, name := range asked {
		for _, f := range []*file{ref, cur} {
			if !f.has(name) {
				return nil, feature.Errorf(feature.NotFound, "compare", f.path, "there is no column %q", name).WithHint("it has: %s", strings.Join(f.names, ", "))
			}
		}
	}
	var out []string
	for _, name := range ref.names {
		if slices.Contains(asked, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// decide says which columns have drifted, and whether that makes the files.
func (r *Report) decide(o *Options) {
	share := o.Share
	if o.Method == Evidently {
		for i := range r.Columns {
			evidently(&r.Columns[i], o.Threshold)
		}
		if share == 0 {
			share = 0.5
		}
	} else {
		r.Alpha = Number(o.Alpha)
		weir(r.Columns, o.Alpha, o.Threshold)
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		if c.Drift {
			r.Drifted++
		}
		if c.Drift || c.Untested == "" || o.Method == Weir {
			r.Compared++
		}
		if c.Reasons == nil {
			c.Reasons = []string{}
		}
	}
	if r.Compared > 0 {
		r.Share = Number(float64(r.Drifted) / float64(r.Compared))
	}
	r.Drift = r.Drifted > 0 && float64(r.Share) >= share
}
