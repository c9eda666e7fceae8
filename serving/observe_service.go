package serving

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// serviceStats are the counts of one service; lists of features share one a project.
type serviceStats struct {
	whole, rows, values histogram
	stages              [stageCount]histogram
}

// histogram counts whole numbers in buckets. A lookup adds to seven of them, so that it
// matters: two additions each, where a bucket is found without a search.
type histogram struct {
	buckets [mostBuckets]atomic.Uint64 // the last of a scale is for what is above its bounds
	sum     atomic.Int64
}

const mostBuckets = 18

// scale says what a histogram's buckets are: up to least, and then each growing by a power of two.
type scale struct {
	least  int64
	growth int     // log2 of a bound by the one before it
	bounds int     // below mostBuckets
	unit   float64 // of what is shown
}

var (
	wholeScale  = scale{int64(50 * time.Microsecond), 1, 17, 1e9} // to 3.3 s
	stageScale  = scale{int64(5 * time.Microsecond), 2, 10, 1e9}  // to 1.3 s
	rowsScale   = scale{1, 2, 8, 1}                               // to 16384
	valuesScale = scale{1, 2, 11, 1}                              // to 1048576
)

func (h *histogram) add(s *scale, v int64) {
	i := 0
	if v > s.least {
		i = min((bits.Len64(uint64((v-1)/s.least))+s.growth-1)/s.growth, s.bounds)
	}
	h.buckets[i].Add(1)
	h.sum.Add(v)
}

func (h *histogram) metric(d *prometheus.Desc, s *scale, labels ...string) prometheus.Metric {
	buckets, total := make(map[float64]uint64, s.bounds), uint64(0)
	for i := range s.bounds + 1 {
		total += h.buckets[i].Load()
		if i < s.bounds {
			buckets[float64(s.least<<(i*s.growth))/s.unit] = total
		}
	}
	return prometheus.MustNewConstHistogram(d, total, float64(h.sum.Load())/s.unit, buckets, labels...)
}

var (
	wholeDesc = prometheus.NewDesc("weir_lookup_seconds", "Duration of lookups until the answer is encoded, by service; lookups of single features under the service \"\".",
		[]string{"project", "service"}, nil)
	stageDesc = prometheus.NewDesc("weir_lookup_stage_seconds", "Duration of a lookup's stages: plan (found or compiled), entities (the request's keys), store (fetched and decoded), encode.",
		[]string{"project", "service", "stage"}, nil)
	requestRowsDesc   = prometheus.NewDesc("weir_lookup_request_rows", "Rows of a lookup.", []string{"project", "service"}, nil)
	requestValuesDesc = prometheus.NewDesc("weir_lookup_request_values", "Rows of a lookup times its features.", []string{"project", "service"}, nil)
)

func (s *serviceStats) collect(ch chan<- prometheus.Metric, project, service string) {
	ch <- s.whole.metric(wholeDesc, &wholeScale, project, service)
	ch <- s.rows.metric(requestRowsDesc, &rowsScale, project, service)
	ch <- s.values.metric(requestValuesDesc, &valuesScale, project, service)
	for i, name := range stageNames {
		ch <- s.stages[i].metric(stageDesc, &stageScale, project, service, name)
	}
}

// clock takes the times of a lookup's stages.
type clock struct {
	began time.Time
	last  time.Duration
	took  [stageCount]time.Duration
}

// end notes the end of a stage, and with it the beginning of the next.
func (c *clock) end(stage int) {
	now := time.Since(c.began)
	c.took[stage], c.last = now-c.last, now
}

// answered counts a lookup whose answer is encoded.
func (w *watched) answered(c *clock, b *feature.Block, columns int) {
	s := w.service
	s.whole.add(&wholeScale, int64(c.last))
	for i := range s.stages {
		s.stages[i].add(&stageScale, int64(c.took[i]))
	}
	s.rows.add(&rowsScale, int64(b.Rows))
	s.values.add(&valuesScale, int64(b.Rows*columns))
	w.count(b, c.began.Add(c.last).UnixMicro())
}
