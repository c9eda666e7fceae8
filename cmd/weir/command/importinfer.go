package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

type inferFlags struct {
	on, yes bool
	keys    []string
	time    string
}

const (
	inferRows  = 10_000 // looked at in a file
	inferFiles = 3
)

// inferView makes the definitions of a view that does not exist yet from a look
// at the files, shows them, and puts them in force when they are agreed to.
func (e *env) inferView(ctx context.Context, c *client, f *importFlags, files []localFile) error {
	_, err := c.registry.Get(ctx, &weirv1.GetRequest{Kind: "FeatureView", Project: c.project, Name: f.view})
	if err == nil {
		fmt.Fprintf(e.err, "the view %s exists: its definition says what the columns are, nothing is inferred\n", f.view)
		return nil
	}
	if status.Code(err) != codes.NotFound {
		return err
	}
	in := inference{view: f.view, flags: &f.infer}
	for _, x := range files[:min(len(files), inferFiles)] {
		if err := in.look(ctx, x.path, f); err != nil {
			return err
		}
	}
	manifest, err := in.manifest()
	if err != nil {
		return err
	}
	out := e.out
	if e.output == "json" {
		out = e.err // what is on standard output is JSON and nothing else
	}
	fmt.Fprintf(out, "%s\n", manifest)
	fmt.Fprintf(out, "# A guess from %s of %s.", plural(in.rows, "row"), plural(int64(min(len(files), inferFiles)), "file"))
	if len(files) > inferFiles {
		fmt.Fprintf(out, " %s were not looked at.", plural(int64(len(files)-inferFiles), "file"))
	}
	fmt.Fprintln(out, " Rows that do not fit go to quarantine.")
	for _, n := range in.notes {
		fmt.Fprintln(out, "# - "+n)
	}
	if !f.infer.yes {
		if !terminal(e.err) {
			return fmt.Errorf("nothing was done: give --yes to put these definitions in force, or save them, correct them and use weir apply")
		}
		if !e.confirm("put these definitions in force and import?") {
			return fmt.Errorf("nothing was done")
		}
	}
	ms := []*weirv1.ManifestFile{{Name: "inferred.yaml", Content: []byte(manifest)}}
	plan, err := c.registry.Plan(ctx, &weirv1.PlanRequest{Files: ms, DefaultProject: c.project})
	if err != nil {
		return err
	}
	for _, x := range plan.Changes {
		if x.Action != weirv1.Action_ACTION_CREATE {
			return fmt.Errorf("%s %s exists already: name the view otherwise, or write its definitions by hand", x.Kind, x.Name)
		}
	}
	if len(plan.Faults) > 0 {
		return e.showChanges(plan.Changes, plan.Faults, plan.Revision, false, nil, "")
	}
	r, err := c.registry.Apply(ctx, &weirv1.ApplyRequest{Files: ms, DefaultProject: c.project})
	if err != nil {
		return err
	}
	if len(r.Faults) > 0 {
		return e.showChanges(r.Changes, r.Faults, r.Revision, true, nil, "")
	}
	return nil
}

// inference is what is known of the columns so far.
type inference struct {
	view  string
	flags *inferFlags
	cols  []*inferred
	rows  int64
	notes []string
}

// inferred is a column.
type inferred struct {
	name   string
	typ    feature.Type
	nulls  int64
	filled int64
	files  int
	format string // of the time column
}

func (in *inference) note(format string, args ...any) {
	in.notes = append(in.notes, fmt.Sprintf(format, args...))
}

// look reads the beginning of a file.
func (in *inference) look(ctx context.Context, path string, f *importFlags) error {
	o := tabular.ReadOptions{Sample: inferRows, BatchRows: inferRows, Nulls: f.nulls, NullElements: true}
	if f.format != "" {
		var err error
		if o.Format, err = tabular.ParseFormat(f.format); err != nil {
			return err
		}
	}
	r, err := tabular.Open(ctx, path, o)
	if err != nil {
		return err
	}
	defer r.Close()
	rec, err := r.Read()
	if errors.Is(err, io.EOF) {
		in.note("%s has no rows", path)
		return nil
	}
	if err != nil {
		return err
	}
	defer rec.Release()
	in.rows += rec.NumRows()
	for i, field := range r.Schema().Fields() {
		t, _ := tabular.TypeOf(field.Type)
		k := slices.IndexFunc(in.cols, func(c *inferred) bool { return c.name == field.Name })
		if k < 0 {
			k = len(in.cols)
			in.cols = append(in.cols, &inferred{name: field.Name, typ: t})
		}
		c := in.cols[k]
		col := rec.Column(i)
		none := col.NullN() == col.Len()
		switch {
		case c.typ == t || none:
		case c.filled == 0:
			c.typ = t
		default:
			c.typ = in.both(c, t, path)
		}
		if n := nullElements(col); n > 0 {
			in.note("%s: %s with an element that is null: events with such a list go to quarantine", c.name, plural(n, "list"))
		}
		c.nulls, c.filled, c.files = c.nulls+int64(col.NullN()), c.filled+int64(col.Len()-col.NullN()), c.files+1
		if c.name == in.flags.time && !none {
			format, err := in.timeFormat(ctx, path, o, c, t, col)
			if err != nil {
				return err
			}
			if c.format != "" && c.format != format {
				return fmt.Errorf("column %s is written as %s in one file and as %s in %s: write the source by hand, or import them into views of their own", c.name, c.format, format, path)
			}
			c.format = format
		}
	}
	return nil
}

// nullElements is how many lists of a column have an element that is null.
func nullElements(col arrow.Array) (n int64) {
	l, ok := col.(*array.List)
	if !ok || l.ListValues().NullN() == 0 {
		return 0
	}
	for i := range l.Len() {
		from, to := l.ValueOffsets(i)
		for k := from; k < to && l.IsValid(i); k++ {
			if l.ListValues().IsNull(int(k)) {
				n++
				break
			}
		}
	}
	return n
}

// both is the type that takes the values of two files.
func (in *inference) both(c *inferred, t feature.Type, path string) feature.Type {
	wide := wider(c.typ, t)
	if c.typ.IsArray() && t.IsArray() {
		wide = feature.Array(wider(c.typ.Elem(), t.Elem()))
	}
	in.note("%s is %s in one file and %s in %s: taken as %s", c.name, c.typ, t, path, wide)
	return wide
}

// wider takes the values of two types that differ.
func wider(a, b feature.Type) feature.Type {
	fraction := func(t feature.Type) bool { return t == feature.Float32 || t == feature.Float64 }
	switch {
	case !a.Numeric() || !b.Numeric():
		return feature.String
	case fraction(a) || fraction(b):
		return feature.Float64
	}
	return feature.Int64
}

// timeFormat is how the time column's values are written as events.
func (in *inference) timeFormat(ctx context.Context, path string, o tabular.ReadOptions, c *inferred, t feature.Type, col arrow.Array) (string, error) {
	format := o.Format
	if format == "" {
		format, _ = tabular.FormatOf(path)
	}
	typed := format == tabular.Parquet || format == tabular.Arrow
	switch {
	case t == feature.Timestamp && typed:
		return "rfc3339", nil
	case t == feature.Int64 || t == feature.Int32:
		return in.numberFormat(c, col)
	case t != feature.Timestamp && t != feature.String:
		return "", fmt.Errorf("column %s holds values of type %s, which are no times: name another with --time", c.name, t)
	}
	texts := col
	if t == feature.Timestamp {
		o.Types = map[string]feature.Type{c.name: feature.String}
		r, err := tabular.Open(ctx, path, o)
		if err != nil {
			return "", err
		}
		defer r.Close()
		rec, err := r.Read()
		if err != nil {
			return "", err
		}
		defer rec.Release()
		texts = rec.Column(r.Schema().FieldIndices(c.name)[0])
	}
	var zoned, naive, other int64
	example := ""
	for i := range texts.Len() {
		if texts.IsNull(i) {
			continue
		}
		switch v := texts.(*array.String).Value(i); {
		case len(v) < 19 || !validTime(v):
			other, example = other+1, v
		case v[len(v)-1]|0x20 == 'z' || len(v) > 19 && strings.ContainsAny(v[19:], "+-"):
			zoned++
		default:
			naive++
		}
	}
	switch {
	case other > 0 && zoned+naive == 0:
		return "", fmt.Errorf("column %s holds no times with date and time of day, like %q: name another with --time", c.name, example)
	case other > 0:
		in.note("%s: %s of the rows looked at are no times, like %q", c.name, count(other), example)
	}
	if zoned > 0 && naive > 0 {
		in.note("%s: %s times have an offset and %s have none: those in the minority go to quarantine", c.name, count(zoned), count(naive))
	}
	if naive > zoned {
		in.note("%s has no offset: its times are taken as UTC", c.name)
		return "naive", nil
	}
	return "rfc3339", nil
}

func validTime(v string) bool { _, ok := tabular.ParseTime([]byte(v)); return ok }

// numberFormat guesses a number's unit: times between 1980 and 2100 are of one only.
func (in *inference) numberFormat(c *inferred, col arrow.Array) (string, error) {
	wide, err := tabular.Convert(col, feature.Int64)
	if err != nil {
		return "", err
	}
	defer wide.Release()
	units := []struct {
		name string
		per  int64 // of a second
	}{{"unix_s", 1}, {"unix_ms", 1e3}, {"unix_us", 1e6}, {"unix_ns", 1e9}}
	best, most, all := "", 0, 0
	for _, u := range units {
		n := 0
		all = 0
		for i, v := range wide.(*array.Int64).Int64Values() {
			if wide.IsNull(i) {
				continue
			}
			if all++; v/u.per >= 315532800 && v/u.per < 4102444800 {
				n++
			}
		}
		if n > most {
			best, most = u.name, n
		}
	}
	if best == "" {
		return "", fmt.Errorf("column %s holds numbers that are no time between 1980 and 2100 in any unit: name another with --time, or write the source by hand", c.name)
	}
	in.note("%s is guessed to be in %s: %s of %s values lie between 1980 and 2100 then", c.name, best, count(int64(most)), count(int64(all)))
	return best, nil
}

// manifest writes the definitions.
func (in *inference) manifest() (string, error) {
	if len(in.cols) == 0 {
		return "", errors.New("the files have no rows to infer types from")
	}
	find := func(name string) *inferred {
		i := slices.IndexFunc(in.cols, func(c *inferred) bool { return c.name == name })
		if i < 0 {
			return nil
		}
		return in.cols[i]
	}
	var names, times []string
	for _, c := range in.cols {
		names = append(names, c.name)
		if c.typ == feature.Timestamp {
			times = append(times, c.name)
		}
	}
	if len(in.flags.keys) == 0 {
		return "", fmt.Errorf("give --key with the columns that name the entity; there are: %s", strings.Join(names, ", "))
	}
	if in.flags.time == "" {
		hint := strings.Join(names, ", ")
		if len(times) > 0 {
			hint = strings.Join(times, ", ") + " hold times"
		}
		return "", fmt.Errorf("give --time with the column that says when a row's event happened; %s", hint)
	}
	at := find(in.flags.time)
	if at == nil {
		return "", fmt.Errorf("--time: there is no column %s; there are: %s", in.flags.time, strings.Join(names, ", "))
	}
	if at.format == "" {
		return "", fmt.Errorf("column %s has no value in the rows looked at", at.name)
	}
	var keys []string
	for _, k := range in.flags.keys {
		c := find(k)
		switch {
		case c == nil:
			return "", fmt.Errorf("--key: there is no column %s; there are: %s", k, strings.Join(names, ", "))
		case len(feature.CheckName("key", k)) > 0:
			return "", fmt.Errorf("--key: the column %q is no name for a join key (lower-case letters, digits and _): rename it in the file", k)
		case c.nulls > 0:
			in.note("the key %s is null in %s: they go to quarantine", k, plural(c.nulls, "row"))
		}
		if c.typ == feature.Float32 || c.typ == feature.Float64 {
			return "", fmt.Errorf("--key: %s holds numbers with fractions, which name nobody: use another column", k)
		}
		keys = append(keys, fmt.Sprintf("{name: %s, type: %s}", k, c.typ))
	}
	var features []string
	taken := map[string]bool{}
	for _, c := range in.cols {
		if c.name == at.name || slices.Contains(in.flags.keys, c.name) {
			continue
		}
		name := featureName(c.name)
		for n := 2; taken[name] || slices.Contains(in.flags.keys, name); n++ {
			name = fmt.Sprintf("%s_%d", featureName(c.name), n)
		}
		taken[name] = true
		line := fmt.Sprintf("    - {name: %s, type: %s}", name, c.typ)
		if name != c.name {
			line = fmt.Sprintf("    - {name: %s, type: %s, path: %q}", name, c.typ, c.name)
		}
		switch {
		case c.filled == 0:
			in.note("%s has no value in the rows looked at: taken as %s", c.name, c.typ)
		case c.typ == feature.Int64 && c.nulls == 0 && (c.name == "id" || strings.HasSuffix(c.name, "_id")):
			in.note("%s is a whole number; if it is an identifier, string may suit it better", c.name)
		}
		features = append(features, line)
	}
	if len(features) == 0 {
		return "", errors.New("there is no column beside key and time: a view needs a feature")
	}
	return fmt.Sprintf(`apiVersion: weir/v1
kind: Entity
metadata: {name: %[1]s, description: Inferred from files}
spec:
  join_keys: [%[2]s]
---
apiVersion: weir/v1
kind: Source
metadata: {name: %[1]s, description: Inferred from files}
spec:
  topic: %[1]s
  event_time: {field: %[3]q, format: %[4]s}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: %[1]s, description: Inferred from files}
spec:
  source: %[1]s
  entities: [%[1]s]
  features:
%[5]s
`, in.view, strings.Join(keys, ", "), at.name, at.format, strings.Join(features, "\n")), nil
}

// featureName makes a name of a column's.
func featureName(column string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(column) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0 {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && s[len(s)-1] != '_' {
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	if name == "" {
		name = "column"
	}
	return name[:min(len(name), 60)]
}
