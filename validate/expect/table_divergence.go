package expect

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// partition is the expected distribution of expect_column_kl_divergence_to_be_less_than.
type partition struct {
	bins, weights []float64
	tails         []float64 // the weights outside of the bins; nil where not given
	values        *wanted   // instead of bins
}

// divergenceRule compares the distribution of a column with an expected one, by the
// Kullback-Leibler divergence. Without a partition_object it is compared with itself,
// which shows its partition.
func divergenceRule(a *args) whole {
	col, ok := a.column("column")
	bucketize := true
	if _, given := a.get("bucketize_data"); given {
		bucketize = a.bool("bucketize_data")
	}
	share := func(name string) float64 {
		n := a.number(name)
		if n == nil {
			return 0
		}
		f, _ := n.float64()
		if !(f >= 0 && f <= 1) {
			a.fault(name, "must be between 0 and 1 (got %s)", short(a.raw[name]))
		}
		return f
	}
	d := divergence{tail: share("tail_weight_holdout"), internal: share("internal_weight_holdout"), threshold: math.Inf(1), name: "", col: col}
	if n := a.number("threshold"); n != nil {
		if d.threshold, _ = n.float64(); !(d.threshold >= 0) {
			a.fault("threshold", "must not be below 0 (got %s)", short(a.raw["threshold"]))
		}
		d.limited = true
	}
	raw, given := a.get("partition_object")
	if !ok || a.bad {
		return whole{}
	}
	d.name, d.typ = a.name(col), a.typ(col)
	if d.typ.Variable() && d.typ != feature.String {
		a.unfits("column", "column %s is %s, which has no distribution", d.name, d.typ)
		return whole{}
	}
	if given {
		d.partition = a.partition(col, raw)
		if d.partition == nil {
			return whole{}
		}
	}
	// Kwargs that do not go together fail this expectation alone of a table, as in Great Expectations.
	switch {
	case given && d.partition.values != nil || !given && !bucketize:
		if d.internal > 0 {
			a.fails("internal_weight_holdout", "cannot be used with values: it is about bins")
			return whole{}
		}
		return whole{metrics: []metricSpec{a.groupsOf(col, false)}, answer: d.ofValues, window: a.nearShares(col, &d)}
	case given && !bucketize:
		a.fails("bucketize_data", "must be true for a partition_object with bins")
	case given && d.tail > 0 && d.partition.tails != nil:
		a.fails("tail_weight_holdout", "must be 0 when the partition_object has tail_weights")
	case given && (math.IsInf(d.partition.bins[0], 0) || math.IsInf(d.partition.bins[len(d.partition.bins)-1], 0)) && d.partition.tails != nil:
		a.fails("partition_object", "can have no tail_weights when its bins reach to infinity")
	case given && math.IsInf(d.partition.bins[0], 0) && math.IsInf(d.partition.bins[len(d.partition.bins)-1], 0) && d.tail > 0:
		a.fails("tail_weight_holdout", "must be 0 when the bins reach to infinity on both sides")
	}
	if _, ok := a.numeric("histogram"); !ok || a.bad {
		return whole{}
	}
	w := a.ofNumbers(col, "histogram", []metricSpec{a.bagOf(col)}, d.ofBins)
	if d.typ != feature.String {
		w.window = a.nearBins(col, &d)
	}
	return w
}

// partition reads partition_object.
func (a *args) partition(col int, raw json.RawMessage) *partition {
	const what = `an object with weights and either bins, one more than weights, or values`
	var o map[string]json.RawMessage
	if !a.decode("partition_object", raw, &o, what) {
		return nil
	}
	floats := func(name string) []float64 {
		var l []json.RawMessage
		r, ok := o[name]
		if !ok || !a.decode("partition_object."+name, r, &l, "a list of numbers") {
			return nil
		}
		out := make([]float64, len(l))
		for i, r := range l {
			v := a.scalar(fmt.Sprintf("partition_object.%s[%d]", name, i), r)
			if v == nil {
				return nil
			}
			if v.kind != numberScalar {
				a.fault("partition_object", "%s[%d] must be a number (got %s)", name, i, short(r))
				return nil
			}
			out[i], _ = v.num.float64()
		}
		return out
	}
	p := &partition{weights: floats("weights"), bins: floats("bins"), tails: floats("tail_weights")}
	if a.bad {
		return nil
	}
	sum := 0.0
	for _, w := range slices.Concat(p.tails, p.weights) {
		if !(w >= 0) {
			a.fault("partition_object", "has a weight below 0")
			return nil
		}
		sum += w
	}
	switch {
	case len(p.weights) == 0:
		a.fault("partition_object", "must be %s", what)
	case math.Abs(sum-1) > 1e-8+1e-5:
		a.fault("partition_object", "the weights must add up to 1 (got %v)", sum)
	case p.tails != nil && len(p.tails) != 2:
		a.fault("partition_object", "tail_weights must be two numbers")
	case p.bins != nil:
		if len(p.bins) != len(p.weights)+1 {
			a.fault("partition_object", "needs one bin limit more than weights (got %d and %d)", len(p.bins), len(p.weights))
		}
		for i := 1; i < len(p.bins); i++ {
			if !(p.bins[i] > p.bins[i-1]) {
				a.fault("partition_object", "the limits of the bins must ascend")
				break
			}
		}
	default:
		var l []json.RawMessage
		if r, ok := o["values"]; !ok || !a.decode("partition_object.values", r, &l, "a list of values") {
			a.fault("partition_object", "must be %s", what)
			return nil
		}
		set := a.raw
		a.raw = withKwarg(a.raw, "value_set", string(o["values"]))
		p.values = a.valueSet(col)
		a.raw = set
		if p.values != nil && len(p.values.values) != len(p.weights) {
			a.fault("partition_object", "needs one weight for each of different values (got %d values and %d weights)", len(p.values.values), len(p.weights))
		}
	}
	if a.bad {
		return nil
	}
	return p
}

// divergence is a compiled expectation.
type divergence struct {
	*partition
	col            int
	typ            feature.Type
	name           string
	tail, internal float64
	threshold      float64
	limited        bool
}

// judge fills a result by the two distributions, which need not add up to 1.
func (d *divergence) judge(res *Result, observed, expected []float64) {
	kl := entropy(observed, expected)
	res.Success = !d.limited || kl <= d.threshold
	if !math.IsInf(kl, 0) && !math.IsNaN(kl) {
		res.Observed = kl
	}
}

// entropy is the Kullback-Leibler divergence of p from q, each made to add up to 1.
func entropy(p, q []float64) float64 {
	var sp, sq, sum float64
	for i := range p {
		sp += p[i]
		sq += q[i]
	}
	for i := range p {
		x, y := p[i]/sp, q[i]/sq
		switch {
		case x > 0 && y > 0:
			sum += x * math.Log(x/y)
		case x == 0 && y >= 0:
		case x != x || y != y:
			return math.NaN()
		default:
			return math.Inf(1)
		}
	}
	return sum
}

// ofValues compares the shares of values. Those that are not expected share the
// tail_weight_holdout.
func (d *divergence) ofValues(_ *Run, ms []metric, res *Result) error {
	g := ms[0].(*groups)
	var values []any
	var observed, expected []float64
	if d.partition != nil {
		values = slices.Clone(d.values.values)
		observed = make([]float64, len(values))
		expected = slices.Clone(d.weights)
	}
	others := map[any]float64{} // not expected
	rest := smallest{most: maxObserved}
	var more []float64
	if err := g.each(false, func(t *groups, e *group) error {
		w := float64(e.count) / float64(g.rows)
		if d.partition != nil {
			if i := d.values.find(t, e); i >= 0 {
				observed[i] = w
				return nil
			}
		}
		more = append(more, w)
		if rest.add(t, e); len(others) <= maxObserved {
			others[t.value(e)] = w
		}
		return nil
	}); err != nil {
		return err
	}
	if len(more) <= maxObserved { // in the order of the values
		for i, v := range rest.values {
			more[i] = others[v]
		}
	} else {
		slices.Sort(more) // the sum must not depend on how the values came
	}
	if d.partition == nil {
		expected = slices.Clone(more)
	} else if len(more) > 0 {
		for i := range expected {
			expected[i] *= 1 - d.tail
		}
		for range more {
			expected = append(expected, d.tail/float64(len(more)))
		}
	}
	observed = append(observed, more...)
	if d.judge(res, observed, expected); len(more) <= maxObserved {
		values = append(values, rest.values...)
		res.Details = map[string]any{
			"observed_partition": map[string]any{"values": values, "weights": floatList(observed)},
			"expected_partition": map[string]any{"values": values, "weights": floatList(expected)},
		}
	}
	return nil
}

// floatList is a list of floats as Result has lists.
func floatList(fs []float64) []any {
	out := make([]any, len(fs))
	for i, f := range fs {
		out[i] = floatValue(f)
	}
	return out
}

// ofBins compares histograms.
func (d *divergence) ofBins(_ *Run, ms []metric, res *Result) error {
	g := ms[0].(*bag)
	p := d.partition
	if p == nil {
		var err error
		if p, err = d.ownPartition(g); err != nil {
			return err
		}
		if p == nil {
			res.Exception = fmt.Sprintf("column %s has no values to make a partition of", d.name)
			return nil
		}
	}
	below, hist, above, err := g.histogram(p.bins)
	if err != nil {
		return err
	}
	d.compare(res, p, below, hist, above, float64(g.n))
	return nil
}

// compare compares the n values as bins have them with a partition.
func (d *divergence) compare(res *Result, p *partition, below int64, hist []int64, above int64, n float64) {
	observed := make([]float64, len(hist))
	for i, h := range hist {
		observed[i] = float64(h) / n
	}
	expected := make([]float64, len(p.weights))
	zeros := 0
	for i, w := range p.weights {
		if expected[i] = w * (1 - d.tail - d.internal); expected[i] == 0 {
			zeros++
		}
	}
	if d.internal > 0 {
		for i := range expected {
			if expected[i] == 0 {
				expected[i] = d.internal / float64(zeros)
			}
		}
	}
	left, right := math.IsInf(p.bins[0], -1), math.IsInf(p.bins[len(p.bins)-1], 1)
	allExpected, allObserved := expected, observed
	tails, seen := []float64{d.tail, d.tail}, []float64{float64(below) / n, float64(above) / n}
	bins := p.bins
	switch {
	case !left && !right:
		if tails = p.tails; tails == nil {
			tails = []float64{d.tail / 2, d.tail / 2}
		}
		allExpected = slices.Concat(tails[:1], expected, tails[1:])
		allObserved = slices.Concat(seen[:1], observed, seen[1:])
	case !left:
		allExpected = slices.Concat(tails[:1], expected)
		allObserved = slices.Concat(seen[:1], observed)
	case !right:
		allExpected = slices.Concat(expected, tails[1:])
		allObserved = slices.Concat(observed, seen[1:])
	}
	// An open end is shown as a tail; one bin that is open at both ends is both tails.
	last := len(expected) - 1
	if right {
		tails[1], seen[1] = expected[last], observed[last]
	}
	if left {
		tails[0], seen[0] = expected[0], observed[0]
		bins, expected, observed = bins[1:], expected[1:], observed[1:]
	}
	if right {
		last = max(0, len(expected)-1)
		bins, expected, observed = bins[:len(bins)-1], expected[:last], observed[:last]
	}
	d.judge(res, allObserved, allExpected)
	res.Details = map[string]any{
		"observed_partition": map[string]any{"bins": floatList(bins), "weights": floatList(observed), "tail_weights": floatList(seen)},
		"expected_partition": map[string]any{"bins": floatList(bins), "weights": floatList(expected), "tail_weights": floatList(tails)},
	}
}

// maxBins keeps a column with a far outlier from asking for bins without end.
const maxBins = 2000

// ownPartition makes bins of equal width of the column itself: as many as Sturges'
// formula asks for, or Freedman and Diaconis' where that is more.
func (d *divergence) ownPartition(g *bag) (*partition, error) {
	q, err := g.quantiles([]float64{0, 0.25, 0.75, 1}, "nearest")
	if err != nil || g.n == 0 {
		return nil, err
	}
	var f [4]float64
	for i, v := range q {
		n, _ := numberValue(v)
		f[i], _ = n.float64()
	}
	p := ownBins(f, g.n)
	if p == nil {
		return nil, nil
	}
	_, hist, _, err := g.histogram(p.bins)
	if err != nil {
		return nil, err
	}
	for _, h := range hist {
		p.weights = append(p.weights, float64(h)/float64(g.n))
	}
	return p, nil
}

// ownBins are the bins for n values with these least, quarters and greatest, nil where they reach to infinity.
func ownBins(f [4]float64, count int64) *partition {
	if math.IsInf(f[0], 0) || math.IsInf(f[3], 0) {
		return nil
	}
	bins := math.Ceil(math.Log2(float64(count) + 1))
	if iqr := f[2] - f[1]; iqr >= 1e-10 {
		width := 2 * iqr / math.Cbrt(float64(count))
		bins = max(bins, math.Ceil((f[3]-f[0])/width))
	}
	bins = min(bins, maxBins)
	p := &partition{tails: make([]float64, 2)}
	step := (f[3] - f[0]) / bins
	for i := range int(bins) {
		p.bins = append(p.bins, f[0]+float64(i)*step)
	}
	p.bins = append(p.bins, f[3])
	return p
}

// histogram counts the values from each limit to below the next, the last one included.
func (g *bag) histogram(bins []float64) (below int64, counts []int64, above int64, err error) {
	counts = make([]int64, len(bins)-1)
	err = g.scan(func(words []uint64) {
		for _, u := range words {
			binOf(g.float(u), bins, &below, counts, &above)
		}
	})
	return below, counts, above, err
}

// binOf counts a value in its bin.
func binOf(v float64, bins []float64, below *int64, counts []int64, above *int64) {
	first, last := bins[0], bins[len(bins)-1]
	switch {
	case v < first:
		*below++
	case v > last:
		*above++
	case v == last:
		counts[len(counts)-1]++
	default:
		i, found := slices.BinarySearch(bins, v)
		if !found {
			i--
		}
		counts[i]++
	}
}
