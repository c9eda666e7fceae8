package offline

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

const opCompact = "offline.compact"

// CompactOptions say how Compact works. Config is what the table's writers have:
// its Compact says what is worth merging, the rest how files are written.
type CompactOptions struct {
	Config Config
	DryRun bool // count what would be merged, change nothing
	// Progress hears how far the work that is known of has come; it may be nil.
	// One call at a time, from any goroutine.
	Progress func(CompactProgress)
	Log      *slog.Logger // may be nil
}

// CompactProgress is how many rows have been written, of how many. What was begun
// for nothing, because another process was first, counts as written too.
type CompactProgress struct{ Rows, OfRows int64 }

// Compacted is what a compaction did, or would do.
type Compacted struct {
	Days        int   // of effective time
	Merges      int   // sets of files that were replaced, each by a commit of its own
	Gone, Made  int   // files
	Rows        int64 // in them
	BytesGone   int64
	BytesMade   int64
	Conflicts   int // sets that somebody else changed meanwhile; what was left of them was planned anew
	FilesBefore int // of the table
	FilesAfter  int
}

// compactRounds bounds how often a table is looked at again after what was found
// the first time is done: workers may add files without end.
const compactRounds = 8

// Compact merges the small files of each day into sorted ones. Each set of files is
// replaced by one commit, which other commits do not disturb and which does not
// disturb them; what is left after an error or a cancellation is a table with the
// same rows, and files that nothing names, for the sweep.
//
// Memory is bounded by o.Config.Compact.Memory, beside which stand a row group that
// is being written, and one page at a time of what is being read.
func Compact(ctx context.Context, t Table, o CompactOptions) (Compacted, error) {
	if err := o.Config.Validate(); err != nil {
		return Compacted{}, &feature.Error{Kind: feature.Invalid, Op: opCompact, What: "view " + t.View().ID(), Err: err}
	}
	memory := o.Config.Compact.Memory / int64(o.Config.Compact.Merges) / 2
	return compact(ctx, t, o, memory, memory, windowRows)
}

// compact plans for merges that may hold so much in memory, and makes merges that hold so much.
func compact(ctx context.Context, t Table, o CompactOptions, planned, memory, window int64) (Compacted, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &compactor{table: t, opt: o, planned: planned, memory: memory, window: window, log: o.Log.With("view", t.View().ID()), days: map[int32]bool{}, unsorted: map[string]bool{}, left: map[string]bool{}}
	err := c.run(ctx)
	c.done.Days = len(c.days)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.done, err
}

// compactor is one call of Compact.
type compactor struct {
	table                   Table
	opt                     CompactOptions
	log                     *slog.Logger
	planned, memory, window int64 // of each merger

	mu       sync.Mutex
	done     Compacted
	progress CompactProgress
	days     map[int32]bool
	unsorted map[string]bool // files that turned out not to be sorted
	left     map[string]bool // files that cannot be merged, because of errs
	errs     []error
}

func (c *compactor) run(ctx context.Context) error {
	var mergers []*merger
	for round := range compactRounds {
		st, err := c.table.Load(ctx, Version{})
		if err != nil {
			return err
		}
		if c.done.FilesAfter = len(st.Files); round == 0 {
			c.done.FilesBefore = len(st.Files)
		}
		// After Load, which sees the columns that files may have.
		shape, err := newMergeShape(c.table)
		if err != nil {
			return err
		}
		plan := planCompaction(c.files(st), c.opt.Config.Compact, shape.rowBytes(), c.planned)
		if c.opt.DryRun {
			for _, p := range plan {
				c.count(p, nil)
			}
			return nil
		}
		if len(plan) == 0 {
			break
		}
		for _, p := range plan {
			c.progress.OfRows += p.rows
		}
		was := c.done.Merges + c.done.Conflicts + len(c.unsorted) + len(c.left)
		if mergers, err = c.round(ctx, plan, st, shape, mergers); err != nil {
			return errors.Join(append(c.errs, err)...)
		}
		if was == c.done.Merges+c.done.Conflicts+len(c.unsorted)+len(c.left) {
			break
		}
	}
	return errors.Join(c.errs...)
}

// files are the state's that may be merged.
func (c *compactor) files(st *State) []File {
	var files []File
	for _, f := range st.Files {
		if c.left[f.Path] {
			continue
		}
		f.Sorted = f.Sorted && !c.unsorted[f.Path]
		files = append(files, f)
	}
	return files
}

// round does what was planned, as many merges at once as may be.
func (c *compactor) round(ctx context.Context, plan []compaction, st *State, shape *mergeShape, idle []*merger) ([]*merger, error) {
	g, gctx := errgroup.WithContext(ctx)
	n := c.opt.Config.Compact.Merges
	g.SetLimit(n)
	free := make(chan *merger, n)
	for i := range n {
		if i < len(idle) && slices.Equal(idle[i].shape.cols, shape.cols) {
			free <- idle[i]
			continue
		}
		m := newMerger(c.table, shape, c.opt.Config, c.memory, c.window)
		m.progress = c.progressed
		free <- m
	}
	for _, p := range plan {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if gctx.Err() != nil {
				return nil
			}
			m := <-free
			defer func() { free <- m }()
			return c.one(gctx, m, p, st)
		})
	}
	err := g.Wait()
	close(free)
	var mergers []*merger
	for m := range free {
		mergers = append(mergers, m)
	}
	return mergers, err
}

// one makes one merge and commits it. An error ends the compaction; what is wrong
// with single files is kept for the end.
func (c *compactor) one(ctx context.Context, m *merger, p compaction, st *State) error {
	id := "compact-" + rand.Text()
	began := time.Now()
	files, err := m.rewrite(ctx, p, id, began.UnixMicro())
	if err == nil {
		gone := make([]File, len(p.files))
		for i, f := range p.files {
			gone[i] = st.Files[slices.IndexFunc(st.Files, func(x File) bool { return x.Path == f.Path })]
		}
		err = c.table.Replace(ctx, &Rewrite{ID: id, Gone: gone, New: files})
	}
	var wrong *unsortedError
	switch {
	case err == nil:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count(p, files)
		c.done.FilesAfter += len(files) - len(p.files)
		c.log.Debug("compacted", "commit", id, "files", len(p.files), "into", len(files), "rows", p.rows, "took", time.Since(began))
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &wrong):
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, f := range p.files {
			if wrong.path == "" || wrong.path == f.Path {
				c.log.Warn("a file may not be sorted, or of another day than the table says; it is sorted now", "file", f.Path)
				c.unsorted[f.Path] = true
			}
		}
		return nil
	case feature.KindOf(err) == feature.Conflict || c.gone(ctx, p):
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done.Conflicts++
		c.log.Debug("somebody else replaced files of a merge", "commit", id, "err", err)
		return nil
	case feature.KindOf(err) == feature.Unavailable:
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range p.files {
		c.left[f.Path] = true
	}
	c.errs = append(c.errs, err)
	return nil
}

// gone reports whether the table has lost one of the files meanwhile.
func (c *compactor) gone(ctx context.Context, p compaction) bool {
	st, err := c.table.Load(ctx, Version{})
	if err != nil {
		return false
	}
	have := map[string]bool{}
	for _, f := range st.Files {
		have[f.Path] = true
	}
	return slices.ContainsFunc(p.files, func(f File) bool { return !have[f.Path] })
}

func (c *compactor) count(p compaction, made []File) {
	c.done.Merges++
	c.done.Gone += len(p.files)
	c.done.Made += len(made)
	c.done.Rows += p.rows
	c.done.BytesGone += p.bytes
	for _, f := range made {
		c.done.BytesMade += f.Bytes
		c.days[DayOf(f.MinEffective)] = true
	}
	if made == nil {
		for _, f := range p.files {
			if day, known := f.day(); known {
				c.days[day] = true
			}
		}
	}
}

func (c *compactor) progressed(rows int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Rows += rows
	if c.opt.Progress != nil {
		c.opt.Progress(c.progress)
	}
}
