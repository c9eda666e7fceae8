package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// readQuarantine notes every entry below the table's positions. What is above
// was judged for a commit that is still to come.
func (r *run) readQuarantine(ctx context.Context) error {
	r.say("quarantine", 0, 0)
	var strange []*part
	r.replays = map[int64]bool{}
	read := quarantine.NewReader(r.a.Kafka...)
	err := read.All(ctx, r.v.Meta.Project, r.v.Meta.Name, func(done, total int64) { r.say("quarantine", done, total) }, func(x *quarantine.Replay) {
		r.replays[x.Known] = true
	}, func(e *quarantine.Entry) error {
		if !r.wants(e.Partition) {
			return nil
		}
		p := r.part(e.Topic, e.TopicID, e.Partition)
		if !p.known {
			if r.undone.covers(p, e.Offset) {
				return nil // the table was rolled back to before it knew the partition
			}
			if p.unclaimed.Len() == 0 {
				strange = append(strange, p)
			}
			p.unclaimed.Add(e.Offset)
			return nil
		}
		if e.Offset >= p.at.Next || !p.held.Add(e.Offset) {
			return nil
		}
		if e.Omitted > 0 {
			p.bigPayload.Add(e.Offset)
		}
		if e.KeyOmitted > 0 {
			p.bigKey.Add(e.Offset)
		}
		h := entryHash(p.seed, e)
		p.bucket(e.Offset / offsets.Bucket).entries += h
		r.judgedAgain(p, e, h)
		d := p.day(dayOf(e.Timestamp))
		d.Quarantine++
		d.QuarantineHash += h
		d.first = min(d.first, e.Offset)
		return nil
	})
	if err != nil || len(strange) == 0 {
		return err
	}
	// A partition is in the table before its first entry is written, so one that
	// is unknown even now has never been.
	now, err := r.table.Positions(ctx)
	if err != nil {
		return err
	}
	for _, p := range strange {
		if _, ok := offline.Find(now, p.at); ok {
			p.unclaimed = offsets.Set{}
		}
	}
	return nil
}

// eachEntry reads the view's quarantine.
func (r *run) eachEntry(ctx context.Context, progress func(done, total int64), fn func(*quarantine.Entry) error) error {
	return quarantine.NewReader(r.a.Kafka...).Each(ctx, r.v.Meta.Project, r.v.Meta.Name, progress, fn)
}

// readTable notes every row of the pinned version.
func (r *run) readTable(ctx context.Context) error {
	r.say("table", 0, r.st.Rows)
	var done int64
	var hashes []uint64
	return r.scan(ctx, nil, func(b *feature.Batch) error {
		done += int64(b.Len())
		defer r.say("table", done, max(done, r.st.Rows))
		if !r.wants(b.Origin.Partition) {
			return nil
		}
		p := r.part(b.Origin.Topic, b.Origin.TopicID, b.Origin.Partition)
		replayed := r.takeReplayed(p, b)
		hashes = r.hash.rows(hashes, p.seed, b, nil)
		var into *sums
		var line *day
		bucket := int64(-1)
		for i, o := range b.Offsets {
			if !p.known || o >= p.at.Next || o < 0 {
				p.above.Add(max(o, 0))
				continue
			}
			if n := o / offsets.Bucket; n != bucket {
				bucket, into = n, p.bucket(n)
			}
			if d := dayOf(b.Stamp(i).Effective()); line == nil || line.Day != d {
				line = p.day(d)
			}
			if replayed[i] {
				if _, had := p.replayed[o]; had {
					p.again.Add(o)
				}
				p.replayed[o] = hashes[i]
				line.Replayed++
				line.first = min(line.first, o)
				continue
			}
			if !p.rows.Add(o) {
				p.again.Add(o)
			}
			into.table += hashes[i]
			line.Table++
			line.TableHash += hashes[i]
			line.first = min(line.first, o)
		}
		return nil
	})
}

// scan reads the pinned version, or what of it is within. Files that are lost
// are differences, once each.
func (r *run) scan(ctx context.Context, within []offline.Range, fn func(*feature.Batch) error) error {
	if r.st.Snapshot == 0 {
		return nil
	}
	if r.lost == nil {
		r.lost = map[string]bool{}
	}
	err := offline.Scan(ctx, r.table, offline.ScanOptions{Version: offline.Version{Snapshot: r.st.Snapshot}, Within: within,
		Lost: func(f offline.File, err error) error { return r.lostFile(ctx, f, err) }}, fn)
	if err != nil && feature.KindOf(err) == feature.NotFound {
		if _, lerr := r.table.Load(ctx, offline.Version{}); lerr == nil {
			return errMoved // the table is there, the version is not
		}
	}
	return err
}

func (r *run) lostFile(ctx context.Context, f offline.File, err error) error {
	if feature.KindOf(err) == feature.Unavailable && !errors.Is(err, fs.ErrPermission) {
		return err // the store does not answer; that says nothing about the file
	}
	now, lerr := r.table.Load(ctx, offline.Version{})
	if lerr != nil {
		return lerr
	}
	if !slices.ContainsFunc(now.Files, func(g offline.File) bool { return g.Path == f.Path }) {
		return errMoved
	}
	if r.lost[f.Path] {
		return nil
	}
	r.lost[f.Path] = true
	d := Difference{Kind: LostFile, Path: f.Path, Count: f.Rows, Detail: fmt.Sprintf("%d rows: %v", f.Rows, err)}
	if f.MinEffective != offline.UnknownMin {
		d.Day = dayOf(f.MinEffective)
	}
	r.found.thing(d)
	return nil
}

// compareSets reports what sets alone tell.
func (r *run) compareSets() {
	imports := int64(0)
	for _, p := range r.parts {
		all := func(kind string, s func(func(int64) bool), held bool, detail string) {
			for o := range s {
				if d := r.found.offset(kind, p, o, o-1, 0, held); d != nil {
					d.Detail = detail
				}
			}
		}
		for o := range p.replayed {
			if p.rows.Has(o) {
				p.again.Add(o) // by ingestion and by a replay
			}
		}
		all(Doubled, p.again.All(), false, "in the table more than once")
		all(InBoth, p.rows.Both(&p.held), false, "in the table and in quarantine")
		above := "in the table at or above its position, so no commit of ours has it"
		if !p.known {
			above = "in the table, which has no position for the partition"
		}
		all(Stranger, p.above.All(), false, above)
		all(Stranger, p.unclaimed.All(), true, "in quarantine, of a partition that the table has no position for")
		if p.at.Partition == feature.ImportPartition && p.known {
			imports++
			r.compareImport(p)
		}
	}
	if imports > 0 {
		r.note("imported files (%d): their rows were counted, and not compared with the files, which Weir does not keep", imports)
	}
}

// compareImport looks whether every row of a file below its position is there.
func (r *run) compareImport(p *part) {
	var rows, held offsets.Bits
	for n := int64(0); n*offsets.Bucket < p.at.Next; n++ {
		p.rows.Read(n, &rows)
		p.held.Read(n, &held)
		for i := range min(int64(offsets.Bucket), p.at.Next-n*offsets.Bucket) {
			if rows.Has(i) || held.Has(i) {
				continue
			}
			o := n*offsets.Bucket + i
			if d := r.found.offset(Missing, p, o, o-1, 0, false); d != nil {
				d.Detail = "a row of an imported file, neither in the table nor in quarantine"
			}
		}
	}
}
