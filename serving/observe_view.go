package serving

import (
	"bytes"
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// statuses are how many feature.Status can be, and some: a power of two.
const statuses = 8

// viewStats are the counts of one view, of all services that ask for it.
type viewStats struct {
	rows     [statuses]atomic.Uint64
	ages     [len(ageBounds) + 1]atomic.Uint64 // of the rows that were served
	ageSum   atomic.Int64                      // microseconds
	newest   atomic.Int64                      // event time of any row served, microseconds
	features map[string]*featureStats          // guarded by observations.mu
}

// featureStats are the values of one feature, by status.
type featureStats struct{ values [statuses]atomic.Uint64 }

// watchedView is one view of a plan.
type watchedView struct {
	stats   *viewStats
	columns []watchedColumn
}

type watchedColumn struct {
	at    int // in the block
	stats *featureStats
}

const second = int64(1_000_000) // microseconds

// ageBounds are the upper bounds of the buckets of ages: seconds to months.
var ageBounds = [...]int64{second, 5 * second, 15 * second, 60 * second, 300 * second, 900 * second, 3600 * second, 4 * 3600 * second,
	12 * 3600 * second, 86400 * second, 3 * 86400 * second, 7 * 86400 * second, 30 * 86400 * second, 90 * 86400 * second, 365 * 86400 * second}

// count adds a block to the counts, once for each view and column.
func (w *watched) count(b *feature.Block, now int64) {
	for i := range min(len(w.views), len(b.Views)) {
		w.views[i].count(b, &b.Views[i], now)
	}
}

func (w *watchedView) count(b *feature.Block, v *feature.BlockView, now int64) {
	var n [statuses]uint64
	var ages [len(ageBounds) + 1]uint32
	var sum, newest int64
	// Rows of a view are about as old as each other: the bucket (over, upTo] is looked for when one is not in the last one's.
	over, upTo, bucket, run := int64(0), int64(-1), 0, uint32(0)
	for row, s := range v.Status {
		n[s&(statuses-1)]++
		if s != feature.Present {
			continue
		}
		at := v.EventTime[row]
		age := max(now-at, 0)
		sum += age
		newest = max(newest, at)
		if age > upTo || age <= over {
			ages[bucket] += run
			bucket, run = ageBucket(age), 0
			over, upTo = -1, math.MaxInt64
			if bucket > 0 {
				over = ageBounds[bucket-1]
			}
			if bucket < len(ageBounds) {
				upTo = ageBounds[bucket]
			}
		}
		run++
	}
	ages[bucket] += run
	st := w.stats
	for s, k := range n {
		if k > 0 {
			st.rows[s].Add(k)
		}
	}
	if n[feature.Present] > 0 {
		for i, k := range ages {
			if k > 0 {
				st.ages[i].Add(uint64(k))
			}
		}
		st.ageSum.Add(sum)
		for old := st.newest.Load(); newest > old && !st.newest.CompareAndSwap(old, newest); old = st.newest.Load() {
		}
	}
	whole := n[feature.Present] == uint64(len(v.Status))
	for _, c := range w.columns {
		if c.at >= len(b.Columns) {
			continue
		}
		// A column is valid on no other rows than those that are present.
		valid := trues(b.Columns[c.at].Valid)
		c.stats.values[feature.Present].Add(valid)
		if nulls := n[feature.Present] - min(valid, n[feature.Present]); nulls > 0 {
			c.stats.values[feature.NullValue].Add(nulls)
		}
		if whole {
			continue
		}
		for s := feature.NotFoundStatus; s <= feature.StoreError; s++ {
			if n[s] > 0 {
				c.stats.values[s].Add(n[s])
			}
		}
	}
}

// ageBucket is the first bucket whose bound an age does not pass.
func ageBucket(age int64) int {
	i := 0
	for i < len(ageBounds) && age > ageBounds[i] {
		i++
	}
	return i
}

// trues counts; bytes.Count looks at 32 at once, and a bool is a byte that is 0 or 1.
func trues(valid []bool) uint64 {
	if len(valid) == 0 {
		return 0
	}
	return uint64(bytes.Count(unsafe.Slice((*byte)(unsafe.Pointer(&valid[0])), len(valid)), []byte{1}))
}

var (
	rowsDesc   = prometheus.NewDesc("weir_lookup_rows_total", "Rows looked up, by view and what was found.", []string{"project", "view", "status"}, nil)
	valuesDesc = prometheus.NewDesc("weir_lookup_values_total", "Values looked up, by feature and what was found.", []string{"project", "view", "feature", "status"}, nil)
	ageDesc    = prometheus.NewDesc("weir_lookup_age_seconds", "Age of the rows served: the time of the lookup minus the row's event time.", []string{"project", "view"}, nil)
	newestDesc = prometheus.NewDesc("weir_lookup_newest_event_timestamp_seconds", "Event time of the newest row that was served since the start.", []string{"project", "view"}, nil)
)

func (v *viewStats) collect(ch chan<- prometheus.Metric, project, view string) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, s := range []feature.Status{feature.Present, feature.NotFoundStatus, feature.OutsideMaxAge, feature.StoreError} {
		counter(rowsDesc, v.rows[s].Load(), project, view, s.String()) // from 0 on, so that the first failure is an increase
	}
	buckets, total := make(map[float64]uint64, len(ageBounds)), uint64(0)
	for i := range v.ages {
		total += v.ages[i].Load()
		if i < len(ageBounds) {
			buckets[float64(ageBounds[i]/second)] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(ageDesc, total, float64(v.ageSum.Load())/float64(second), buckets, project, view)
	if newest := v.newest.Load(); newest != 0 {
		ch <- prometheus.MustNewConstMetric(newestDesc, prometheus.GaugeValue, float64(newest)/float64(second), project, view)
	}
	for name, f := range v.features {
		for s := feature.Present; s <= feature.StoreError; s++ {
			if n := f.values[s].Load(); n > 0 || s <= feature.NullValue {
				counter(valuesDesc, n, project, view, name, s.String())
			}
		}
	}
}
