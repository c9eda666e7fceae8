package offline

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// ScanOptions says which rows of a table to read. The zero value reads all rows
// of the newest version.
type ScanOptions struct {
	Version Version
	// Columns are the features wanted; the others come as nulls. Nil for all. Keys always come.
	Columns []string
	// Rows with EventFrom <= event time < EventTo, microseconds UTC; no limit when EventTo is 0.
	EventFrom, EventTo int64
	// Since, when not empty, keeps only rows of these partitions at or after Next. Of
	// the replays' partition it keeps the rows that stand there at or after Next, and
	// maybe some before: rows do not say where they stand, only their known time does.
	Since []feature.Position
	// Within, when not empty, keeps only rows whose offsets are in one of these.
	Within []Range
	// Lost, when set, is told of a file that cannot be opened or read, on the
	// caller's goroutine; on nil the scan goes on with the next file. Rows of the file
	// may have come before. Without it the first such file ends the scan.
	Lost func(f File, err error) error
}

// Range is offsets [First, Next) of a partition.
type Range struct {
	TopicID     [16]byte
	Partition   int32
	First, Next int64
}

func (o *ScanOptions) wants() func(string) bool {
	if o.Columns == nil {
		return func(string) bool { return true }
	}
	return func(name string) bool { return slices.Contains(o.Columns, name) }
}

// mayHold tells whether a file may have rows that are wanted.
func (o *ScanOptions) mayHold(f File) bool {
	if o.EventTo != 0 && (f.MaxEvent < o.EventFrom || f.MinEvent >= o.EventTo) {
		return false
	}
	has := func(p int32) bool { return f.MinPartition <= int64(p) && int64(p) <= f.MaxPartition }
	if len(o.Since) > 0 && !slices.ContainsFunc(o.Since, func(p feature.Position) bool {
		if isReplays(p) {
			from, to := replayedSince(p)
			return f.MaxKnown >= from && f.MinKnown < to
		}
		return f.MaxOffset >= p.Next && has(p.Partition)
	}) {
		return false
	}
	return len(o.Within) == 0 || slices.ContainsFunc(o.Within, func(r Range) bool {
		return f.MaxOffset >= r.First && f.MinOffset < r.Next && has(r.Partition)
	})
}

// longestReplay bounds how far the places of one replay's rows, which are counted
// in microseconds, reach beyond its known time.
const longestReplay = 60 * 60 * 1_000_000

func isReplays(p feature.Position) bool {
	o := feature.ReplayOrigin()
	return p.TopicID == o.TopicID && p.Partition == o.Partition
}

// replayedSince is the range of known times of the rows that replays brought at
// or after a position of theirs.
func replayedSince(p feature.Position) (from, to int64) {
	if p.Next >= p.Started && p.Started > 0 {
		return p.Started, p.Started + 1 // the last replay's alone
	}
	return p.Next - longestReplay, math.MaxInt64
}

// coordinates returns the test of Since and Within; nil when every row passes.
// known is looked at where replays tells so.
func (o *ScanOptions) coordinates() (keep func(k partKey, offset, known int64) bool, replays bool) {
	if len(o.Since) == 0 && len(o.Within) == 0 {
		return nil, false
	}
	since := map[partKey]int64{}
	var from, to int64
	for _, p := range o.Since {
		if isReplays(p) {
			from, to = replayedSince(p)
			continue
		}
		since[keyOf(p)] = p.Next
	}
	within := map[partKey][]Range{}
	for _, r := range o.Within {
		k := partKey{r.TopicID, r.Partition}
		within[k] = append(within[k], r)
	}
	for k, rs := range within {
		within[k] = united(rs)
	}
	return func(k partKey, offset, known int64) bool {
		if next, ok := since[k]; len(o.Since) > 0 && (!ok || offset < next) && (known < from || known >= to) {
			return false
		}
		if len(within) == 0 {
			return true
		}
		rs := within[k]
		after, _ := slices.BinarySearchFunc(rs, offset, func(r Range, o int64) int {
			if r.First <= o {
				return -1
			}
			return 1
		})
		return after > 0 && offset < rs[after-1].Next
	}, to != 0
}

// united sorts ranges of one partition and joins those that touch.
func united(rs []Range) []Range {
	slices.SortFunc(rs, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := rs[:1]
	for _, r := range rs[1:] {
		if last := &out[len(out)-1]; r.First <= last.Next {
			last.Next = max(last.Next, r.Next)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// readAhead is how many goroutines read files.
const readAhead = 2

// Scan calls fn with rows of a table, tombstones included, days of effective
// time in ascending order. A batch has rows of one partition in offset order;
// its Origin spans the offsets that it has, others in between may be in other
// batches or nowhere. fn runs on the caller's goroutine, one call at a time, and
// retains b.Rows if it keeps them. Memory is bounded by a few row groups.
func Scan(ctx context.Context, t Table, o ScanOptions, fn func(*feature.Batch) error) error {
	st, err := t.Load(ctx, o.Version)
	if err != nil {
		return err
	}
	files := slices.DeleteFunc(slices.Clone(st.Files), func(f File) bool { return !o.mayHold(f) })
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.MinEffective, b.MinEffective) })
	topics := topicNames(st)
	keep, replays := o.coordinates()
	// What a file gives: batches, or at its end why it gives no more.
	type part struct {
		batches []*feature.Batch
		lost    *lostFile
	}
	return inOrder(ctx, len(files), func(ctx context.Context, i int, emit func(part) error) error {
		var stop error // not the file's fault
		err := eachGroup(ctx, t, files[i].Path, func(g *groupReader) error {
			rows, err := o.filter(ctx, t, g, keep, replays)
			if err != nil || rows != nil && len(rows) == 0 {
				return err
			}
			bs, err := g.batches(ctx, t, topics, rows, o.wants())
			if err != nil {
				return err
			}
			stop = emit(part{batches: bs})
			return stop
		})
		if err == nil || stop != nil || ctx.Err() != nil || o.Lost == nil {
			return err
		}
		return emit(part{lost: &lostFile{files[i], err}})
	}, func(p part) { releaseAll(p.batches) }, func(p part) error {
		if p.lost != nil {
			return o.Lost(p.lost.file, p.lost.err)
		}
		return eachBatch(p.batches, fn)
	})
}

type lostFile struct {
	file File
	err  error
}

// eachBatch hands batches to fn and releases them.
func eachBatch(bs []*feature.Batch, fn func(*feature.Batch) error) error {
	defer releaseAll(bs)
	for _, b := range bs {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

func topicNames(st *State) map[[16]byte]string {
	m := map[[16]byte]string{}
	for _, p := range st.Positions {
		m[p.TopicID] = p.Topic
	}
	return m
}

// filter returns the wanted rows of a row group, ascending; nil for all.
func (o *ScanOptions) filter(ctx context.Context, t Table, g *groupReader, keep func(k partKey, offset, known int64) bool, replays bool) ([]int32, error) {
	if o.EventTo == 0 && keep == nil {
		return nil, nil
	}
	sys := columnsByName(t.Columns())
	rows := upTo[int32](g.rows)
	if o.EventTo != 0 {
		v, err := g.column(ctx, sys[ColEvent], nil, nil)
		if err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(i int32) bool { return v.Int64s[i] < o.EventFrom || v.Int64s[i] >= o.EventTo })
	}
	if keep != nil && len(rows) > 0 {
		names := []string{ColTopicID, ColPartition, ColOffset}
		if replays {
			names = append(names, ColKnown)
		}
		var v [4]*feature.Vector
		for i, name := range names {
			var err error
			if v[i], err = g.column(ctx, sys[name], nil, nil); err != nil {
				return nil, err
			}
		}
		rows = slices.DeleteFunc(rows, func(i int32) bool {
			var k partKey
			copy(k.topic[:], v[0].Bytes[i])
			k.partition = v[1].Int32s[i]
			known := int64(0)
			if replays {
				known = v[3].Int64s[i]
			}
			return !keep(k, v[2].Int64s[i], known)
		})
	}
	return rows, nil
}

// eachGroup calls fn for the row groups of a file.
func eachGroup(ctx context.Context, t Table, path string, fn func(*groupReader) error) error {
	d, err := openData(ctx, t, path)
	if err != nil {
		return err
	}
	defer d.close()
	for i, rg := range d.pf.RowGroups() {
		if rg.NumRows() > math.MaxInt32 {
			return feature.Errorf(feature.Unsupported, "offline.read", path, "a row group of %d rows", rg.NumRows())
		}
		if err := fn(&groupReader{file: d, group: i, rows: int(rg.NumRows())}); err != nil {
			return err
		}
	}
	return nil
}

// inOrder runs produce for 0..n-1 on a few goroutines, and consume for what they
// emit on this one, in order of the numbers. What is emitted and never consumed
// is dropped.
func inOrder[T any](ctx context.Context, n int, produce func(ctx context.Context, i int, emit func(T) error) error, drop func(T), consume func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queues := make([]chan T, n)
	for i := range queues {
		queues[i] = make(chan T, 1)
	}
	var mu sync.Mutex
	next := 0
	g, gctx := errgroup.WithContext(ctx)
	for range min(readAhead, n) {
		g.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				err := produce(gctx, i, func(x T) error {
					select {
					case queues[i] <- x:
						return nil
					case <-gctx.Done():
						drop(x)
						return gctx.Err()
					}
				})
				if err != nil {
					return err
				}
				close(queues[i])
			}
		})
	}
	err := func() error {
		for _, q := range queues {
			for open := true; open; {
				select {
				case x, ok := <-q:
					if open = ok; ok {
						if err := consume(x); err != nil {
							return err
						}
					}
				case <-gctx.Done():
					return gctx.Err()
				}
			}
		}
		return nil
	}()
	cancel()
	broke := g.Wait()
	for _, q := range queues {
		select {
		case x, ok := <-q:
			if ok {
				drop(x)
			}
		default:
		}
	}
	if err != nil && ctxOnly(err) && broke != nil {
		return broke // the reason why consuming was cut short
	}
	return err
}

func ctxOnly(err error) bool { return err == context.Canceled || err == context.DeadlineExceeded }
