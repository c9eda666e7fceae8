package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/drift/stats"
)

// plot is what is drawn of a column: shares of the reference and the current file in the
// same bins, or of the same categories.
type plot struct {
	labels   []string // of categories; nil of numbers
	edges    []float64
	ref, cur []float64 // shares
	// beyond tells that the first and last bin hold all that lies farther out.
	beyond bool
}

const (
	plotBins       = 40
	plotCategories = 12
)

// histogramOf bins the range in which 99 % of both files are, so that an outlier does not
// make one bar of all the rest.
func histogramOf(p *pair) *plot {
	low, high := min(p.a.Quantile(0.005), p.b.Quantile(0.005)), max(p.a.Quantile(0.995), p.b.Quantile(0.995))
	out := &plot{}
	switch {
	case low == high:
		low, high = low-0.5, high+0.5
	case p.whole && high-low < plotBins:
		low, high = low-0.5, high+0.5 // a bin for each integer
		for at := low; at <= high; at++ {
			out.edges = append(out.edges, at)
		}
	}
	if out.edges == nil {
		for i := range plotBins + 1 {
			f := float64(i) / plotBins
			out.edges = append(out.edges, low*(1-f)+high*f)
		}
	}
	count := func(s stats.Sample) []float64 {
		h := stats.Histogram(s, out.edges)
		ends := stats.Bounds{Low: out.edges[0], High: out.edges[len(out.edges)-1]}
		below := stats.Bounds{Low: ends.Low, High: math.Inf(1)}.Beyond(s)
		above := ends.Beyond(s) - below
		h[0] += below
		h[len(h)-1] += above
		out.beyond = out.beyond || below+above > 0
		return stats.Shares(h)
	}
	out.ref, out.cur = count(p.a), count(p.b)
	return out
}

// barsOf has the categories with the largest shares, and the rest as one. Numbers stay in their order.
func barsOf(p *pair) *plot {
	r, u := stats.Shares(p.cells.A), stats.Shares(p.cells.B)
	order := make([]int, len(r))
	for i := range order {
		order[i] = i
	}
	if len(order) > plotCategories || p.a.At == nil {
		slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(max(r[y], u[y]), max(r[x], u[x])) })
	}
	out := &plot{}
	for _, i := range order[:min(plotCategories, len(order))] {
		out.labels, out.ref, out.cur = append(out.labels, p.names[i]), append(out.ref, r[i]), append(out.cur, u[i])
	}
	if rest := order[len(out.labels):]; len(rest) > 0 {
		var a, b float64
		for _, i := range rest {
			a, b = a+r[i], b+u[i]
		}
		out.labels, out.ref, out.cur = append(out.labels, "others ("+strconv.Itoa(len(rest))+")"), append(out.ref, a), append(out.cur, b)
	}
	return out
}
