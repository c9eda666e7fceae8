package offline

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// compaction is a set of files that are worth replacing together.
type compaction struct {
	files []File
	// mend: the files are not in the table's order, or nobody knows of which day
	// they are. They are read whole and sorted.
	mend        bool
	rows, bytes int64
}

// unknownDay is the day of files without bounds: before all others.
const unknownDay = math.MinInt32

// planCompaction chooses what to merge, earliest day first.
//
// A file is done for good once it has half of the wanted size. The others of a
// day are looked at from the smallest on, and as many of them are merged as
// there are without one that outweighs the smaller ones: file p may come along
// if it is no larger than 1/(MinFiles-1) of all before it together. So a merge
// makes of its largest input something MinFiles times as large, and a row is
// written again at most
//
//	1 + log(FileBytes/2 / size of its first file) / log(MinFiles)
//
// times, where a merge is not cut into pieces; with 5 files and flushes of 1 MB
// that is at most 4 times. A piece makes of its largest file at least twice as
// much, or a file that is done, so that the logarithm to the base 2 is the bound in any case. What
// stays of a day with equal flushes is fewer than MinFiles files of each size.
//
// rowBytes is what a row takes in memory; small is how many rows a file may have
// to be held there whole, and memory what all of those of one merge may take.
func planCompaction(files []File, cfg CompactConfig, rowBytes, memory int64) []compaction {
	type group struct{ small, odd []File }
	days := map[int32]*group{}
	var order []int32
	for _, f := range files {
		day, known := f.day()
		odd := !known || !f.Sorted
		if !odd && (2*f.Bytes >= cfg.FileBytes || 2*f.Rows >= cfg.FileRows) {
			continue
		}
		g := days[day]
		if g == nil {
			g = &group{}
			days[day] = g
			order = append(order, day)
		}
		if odd {
			g.odd = append(g.odd, f)
		} else {
			g.small = append(g.small, f)
		}
	}
	slices.Sort(order)
	var plan []compaction
	for _, d := range order {
		g := days[d]
		for _, p := range pieces(g.odd, cfg, rowBytes, memory) {
			plan = append(plan, newCompaction(p, true))
		}
		for _, p := range pieces(worthwhile(g.small, cfg.MinFiles), cfg, rowBytes, memory) {
			c := newCompaction(p, false)
			done := 2*c.bytes >= cfg.FileBytes || 2*c.rows >= cfg.FileRows
			largest := slices.MaxFunc(p, func(a, b File) int { return cmp.Compare(a.Bytes, b.Bytes) }).Bytes
			if len(p) >= 2 && (done || 2*largest <= c.bytes) {
				plan = append(plan, c)
			}
		}
	}
	return plan
}

func newCompaction(files []File, mend bool) compaction {
	c := compaction{files: files, mend: mend}
	for _, f := range files {
		c.rows, c.bytes = c.rows+f.Rows, c.bytes+f.Bytes
	}
	return c
}

// day is the one day of the file's rows, if that is known.
func (f *File) day() (day int32, known bool) {
	if f.MinEffective == UnknownMin || f.MaxEffective == UnknownMax {
		return unknownDay, false
	}
	day = DayOf(f.MinEffective)
	return day, day == DayOf(f.MaxEffective)
}

// worthwhile returns the files of a day that are to be merged; none if it is not worth it.
func worthwhile(files []File, least int) []File {
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Bytes, b.Bytes), strings.Compare(a.Path, b.Path)) })
	n, before := 0, int64(0)
	for i, f := range files {
		if i+1 >= least && f.Bytes*int64(least-1) <= before {
			n = i + 1
		}
		before += f.Bytes
	}
	return files[:n]
}

// smallRows is how many rows a file has at most that a merge holds in memory
// whole: to decode its pages again for each row group that is written costs too much.
const smallRows = 1 << 16

// pieces parts files into merges that keep to the limits, in the order of their
// times, so that what is merged lies close together.
func pieces(files []File, cfg CompactConfig, rowBytes, memory int64) [][]File {
	if len(files) == 0 {
		return nil
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.MinEffective, b.MinEffective), strings.Compare(a.Path, b.Path))
	})
	weigh := func(f File) float64 {
		w := max(float64(f.Bytes)/float64(cfg.FileBytes), float64(f.Rows)/float64(cfg.FileRows), 1/float64(cfg.MaxFiles))
		if f.Rows <= smallRows {
			w = max(w, float64(f.Rows*rowBytes)/float64(memory))
		}
		return w
	}
	var all float64
	for _, f := range files {
		all += weigh(f)
	}
	share := all / math.Ceil(all)
	var parts [][]File
	var weight float64 // of the last piece
	for _, f := range files {
		w := weigh(f)
		if n := len(parts); n == 0 || weight+w > 1+1e-9 || weight+w/2 > share {
			parts = append(parts, nil)
			weight = 0
		}
		last := &parts[len(parts)-1]
		*last = append(*last, f)
		weight += w
	}
	return parts
}
