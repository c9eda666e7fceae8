package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// LogConfig has a sample of what lookups answered written to a topic of Kafka.
type LogConfig struct {
	Topic    string   `koanf:"topic"`    // nothing is logged where it is empty
	Sample   float64  `koanf:"sample"`   // share of requests, above 0 and up to 1
	Services []string `koanf:"services"` // as service or project/service; all, and lists of features too, where empty
	// Buffer is how many values may wait to be written, where texts and arrays count one more
	// for each 64 bytes; an answer that finds no room is not logged.
	Buffer int `koanf:"buffer"`
}

func (c LogConfig) validate() (errs []error) {
	if c.Topic == "" {
		return nil
	}
	if !(c.Sample > 0 && c.Sample <= 1) {
		errs = append(errs, fmt.Errorf("serving.log.sample: must be above 0 and at most 1 (got %v)", c.Sample))
	}
	if c.Buffer < 1 {
		errs = append(errs, fmt.Errorf("serving.log.buffer: must be above zero (got %d)", c.Buffer))
	}
	return errs
}

// Sink takes the records of logged answers.
type Sink interface {
	// Put takes a record of its own, without waiting, and calls done once: with nil when it
	// is kept for good, with ErrFull where too much waits. The key may be nil.
	Put(key, value []byte, at time.Time, done func(error))
	// Close waits for what was put until ctx ends.
	Close(ctx context.Context) error
}

// ErrFull is what a Sink says of a record that it has no room for.
var ErrFull = errors.New("too much waits to be written")

// Log writes a sample of answers to a sink, beside the lookups: an answer's block is
// handed over when it is encoded, or is not logged.
type Log struct {
	cfg     LogConfig
	sink    Sink
	log     *slog.Logger
	queue   chan *sampled
	waiting atomic.Int64 // values in the queue
	jobs    sync.Pool    // *sampled
	stop    chan struct{}
	done    chan struct{}
	warned  atomic.Int64 // unix second of the last warning

	written, full, failed prometheus.Counter // rows
}

// sampled is an answer that is to be logged.
type sampled struct {
	project, service, request string
	first                     int
	fields                    []feature.Field
	keys                      []feature.Vector // copies
	resolved                  *feature.Service
	revision                  int64
	at                        time.Time
	block                     *feature.Block
	blocks                    *sync.Pool // where the block goes back to
	buf                       []byte
	elems                     feature.Vector // of the array that is being written
}

// values are an answer's for the buffer: a long text or array takes the place of many.
func (s *sampled) values() int64 {
	return int64(s.block.Rows*(len(s.block.Columns)+len(s.keys)) + textBytes(s.block)/bytesOfValue)
}

const bytesOfValue = 64

// NewLog starts a log; Close ends it.
func NewLog(cfg LogConfig, sink Sink, log *slog.Logger, reg prometheus.Registerer) *Log {
	rows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_lookup_log_rows_total", Help: "Rows of sampled answers: written to the topic, full (no room to wait in, not logged), failed (not taken by Kafka)."}, []string{"result"})
	g := &Log{cfg: cfg, sink: sink, log: log, queue: make(chan *sampled, 1024), stop: make(chan struct{}), done: make(chan struct{}),
		jobs:    sync.Pool{New: func() any { return &sampled{} }},
		written: rows.WithLabelValues("written"), full: rows.WithLabelValues("full"), failed: rows.WithLabelValues("failed")}
	reg.MustRegister(rows, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_lookup_log_waiting_values", Help: "Values of sampled answers that wait to be encoded; serving.log.buffer is the most."},
		func() float64 { return float64(g.waiting.Load()) }))
	go g.run()
	return g
}

// covers reports whether answers of a service are logged; of a list of features where the name is empty.
func (g *Log) covers(project, service string) bool {
	return len(g.cfg.Services) == 0 || service != "" && (slices.Contains(g.cfg.Services, service) || slices.Contains(g.cfg.Services, project+"/"+service))
}

// chosen reports whether a request is in the sample. One that has an id is in or out
// on every server alike, and stays in when the sample grows.
func (g *Log) chosen(request string) bool {
	if g.cfg.Sample >= 1 {
		return true
	}
	if request == "" {
		return rand.Float64() < g.cfg.Sample
	}
	return float64(xxhash.Sum64String(request)) < g.cfg.Sample*math.Exp2(64)
}

// begin copies what the wire may take back before the answer is encoded.
func (g *Log) begin(q *Question, request string, fields []feature.Field, keys []feature.Vector) *sampled {
	s := g.jobs.Get().(*sampled)
	s.project, s.service, s.request, s.first, s.fields = strings.Clone(q.Project), strings.Clone(q.Service), strings.Clone(request), q.FirstRow, fields
	s.keys = slices.Grow(s.keys[:0], len(keys))[:len(keys)]
	for i := range keys {
		copyVector(&s.keys[i], &keys[i])
	}
	return s
}

// copyVector copies values and texts, into dst's own memory where it suffices.
func copyVector(dst, src *feature.Vector) {
	dst.Type = src.Type
	dst.Valid = append(dst.Valid[:0], src.Valid...)
	dst.Bools, dst.Int32s, dst.Int64s, dst.Float32, dst.Float64, dst.Bytes = dst.Bools[:0], dst.Int32s[:0], dst.Int64s[:0], dst.Float32[:0], dst.Float64[:0], dst.Bytes[:0]
	switch src.Type {
	case feature.Bool:
		dst.Bools = append(dst.Bools, src.Bools...)
	case feature.Int32:
		dst.Int32s = append(dst.Int32s, src.Int32s...)
	case feature.Int64, feature.Timestamp:
		dst.Int64s = append(dst.Int64s, src.Int64s...)
	case feature.Float32:
		dst.Float32 = append(dst.Float32, src.Float32...)
	case feature.Float64:
		dst.Float64 = append(dst.Float64, src.Float64...)
	default:
		n := 0
		for _, b := range src.Bytes {
			n += len(b)
		}
		all := make([]byte, 0, n)
		for _, b := range src.Bytes {
			at := len(all)
			all = append(all, b...)
			dst.Bytes = append(dst.Bytes, all[at:len(all):len(all)])
		}
	}
}

// take hands a sampled answer and its block over. Without room the caller keeps the block.
func (g *Log) take(s *sampled) bool {
	n := s.values()
	if waiting := g.waiting.Add(n); waiting > int64(g.cfg.Buffer) && waiting != n { // a large one that is alone has room
		return g.refuse(s, n)
	}
	select {
	case <-g.stop:
		return g.refuse(s, n)
	default:
	}
	select {
	case g.queue <- s:
		return true
	default:
		return g.refuse(s, n)
	}
}

func (g *Log) refuse(s *sampled, n int64) bool {
	g.waiting.Add(-n)
	g.full.Add(float64(s.block.Rows))
	s.block = nil
	g.jobs.Put(s)
	return false
}

// run encodes what was taken until Close, and then what still waits.
func (g *Log) run() {
	defer close(g.done)
	for {
		select {
		case s := <-g.queue:
			g.write(s)
			continue
		case <-g.stop:
		}
		for {
			select {
			case s := <-g.queue:
				g.write(s)
			default:
				return
			}
		}
	}
}

func (g *Log) write(s *sampled) {
	n := s.values()
	var key []byte
	if s.request != "" {
		key = []byte(s.request)
	}
	for row := range s.block.Rows {
		s.buf = s.appendRow(s.buf[:0], row)
		g.sink.Put(key, slices.Clone(s.buf), s.at, g.outcome)
	}
	block, blocks := s.block, s.blocks
	s.block = nil
	g.jobs.Put(s)
	blocks.Put(block)
	g.waiting.Add(-n)
}

// outcome counts a record's end.
func (g *Log) outcome(err error) {
	switch {
	case err == nil:
		g.written.Inc()
		return
	case errors.Is(err, ErrFull):
		g.full.Inc()
	default:
		g.failed.Inc()
	}
	now := time.Now().Unix()
	if last := g.warned.Load(); now-last >= 30 && g.warned.CompareAndSwap(last, now) {
		g.log.Warn("sampled answers are not logged", "topic", g.cfg.Topic, "err", err)
	}
}

// Close writes what waits, for as long as ctx lasts. Answers of later lookups are not logged.
func (g *Log) Close(ctx context.Context) error {
	close(g.stop)
	select {
	case <-g.done:
	case <-ctx.Done():
	}
	return g.sink.Close(ctx)
}
