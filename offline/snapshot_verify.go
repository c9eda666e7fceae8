package offline

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

const opVerify = "offline.verify"

// VerifyRequest asks whether a snapshot can still be made value for value.
type VerifyRequest struct {
	Snapshot feature.Snapshot
	Service  *feature.Service // resolved, at Snapshot.ServiceVersion
	Tables   []Table          // one for each of Service.Views
	// Spine holds the spine's rows again. The snapshot's own file will do: its
	// feature columns are left out here.
	Spine    Spine
	Progress func(done, total int64) // as in JoinRequest
	Stage    func(stage string)      // as in JoinRequest
	Memory   int64
	Workers  int
}

// Verified is the outcome.
type Verified struct {
	Same        bool   // all of the below agree
	Rows        int64  // made again
	SpineHash   string // of what was given
	ContentHash string // of what was made
	// Differences say what does not agree, in words; empty when Same.
	Differences []string
	// Notes say what is no difference and should be known: a version that nothing keeps.
	Notes []string
}

// Verify makes a snapshot again from its recorded table versions and compares.
func (s *Snapshots) Verify(ctx context.Context, req VerifyRequest) (Verified, error) {
	snap := req.Snapshot
	if len(snap.Tables) != len(req.Service.Views) || len(req.Tables) != len(snap.Tables) {
		return Verified{}, feature.Errorf(feature.Invalid, opVerify, "snapshot "+snap.ID, "it was read from %d tables, the service has %d views", len(snap.Tables), len(req.Service.Views)).
			WithHint("verify it with the service at version %d", snap.ServiceVersion)
	}
	tables := make([]TableAt, len(req.Tables))
	var notes []string
	for i, t := range snap.Tables {
		if v := req.Service.Views[i].Meta.Name; v != t.View {
			return Verified{}, feature.Errorf(feature.Invalid, opVerify, "snapshot "+snap.ID, "table %d was of view %s, the service has %s there", i+1, t.View, v).
				WithHint("verify it with the service at version %d", snap.ServiceVersion)
		}
		tables[i] = TableAt{req.Tables[i], Version{Snapshot: t.Version}}
		if t.Version == 0 {
			tables[i].Table = emptyAt{req.Tables[i]}
			continue
		}
		note, err := stillThere(ctx, snap, t, req.Tables[i])
		if err != nil {
			return Verified{}, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	drop := make([]string, 0, len(snap.Columns)+1)
	for _, c := range snap.Columns {
		drop = append(drop, c.Name)
	}
	if snap.Split != nil {
		drop = append(drop, feature.SplitColumn)
	}
	spine := req.Spine
	spine.Rows = withoutColumns(spine.Rows, drop)
	h := newRowHash(spine.Rows.Schema().NumFields())
	take := h.write
	var split *splitter
	if snap.Split != nil {
		var err error
		if split, err = newSplitter(snap.Split, req.Service, spine); err != nil {
			return Verified{}, err
		}
		take = split.sink(take)
	}
	res, err := Join(ctx, JoinRequest{
		Service: req.Service, Tables: tables, Spine: spine, Clock: snap.Clock,
		Progress: req.Progress, Stage: req.Stage, Joins: s.joins, Memory: req.Memory, Workers: req.Workers,
	}, take)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Rows: res.Rows, Notes: notes}
	v.SpineHash, v.ContentHash = h.sums()
	if v.Rows != snap.Rows {
		v.Differences = append(v.Differences, fmt.Sprintf("%d rows, the snapshot has %d", v.Rows, snap.Rows))
	}
	if v.SpineHash != snap.SpineHash {
		v.Differences = append(v.Differences, "the spine is not the one the snapshot was made for")
	} else if v.ContentHash != snap.ContentHash {
		v.Differences = append(v.Differences, "the values differ")
	}
	for i, c := range snap.Columns {
		if i < len(res.Nulls) && res.Nulls[i] != c.Nulls {
			v.Differences = append(v.Differences, fmt.Sprintf("column %s has %d nulls, the snapshot %d", c.Name, res.Nulls[i], c.Nulls))
		}
	}
	if split != nil {
		for i, p := range split.done().Parts {
			if was := snap.Split.Parts[i].Rows; p.Rows != was {
				v.Differences = append(v.Differences, fmt.Sprintf("part %s has %d rows, the snapshot %d", p.Name, p.Rows, was))
			}
		}
	}
	v.Same = len(v.Differences) == 0
	return v, nil
}

// stillThere makes sure that the table has the version, and notes when nothing keeps it.
func stillThere(ctx context.Context, snap feature.Snapshot, st feature.SnapshotTable, t Table) (note string, err error) {
	what := fmt.Sprintf("snapshot %s, view %s", snap.ID, st.View)
	if _, err := t.Load(ctx, Version{Snapshot: st.Version}); err != nil {
		if feature.KindOf(err) != feature.NotFound {
			return "", err
		}
		now, lerr := t.Load(ctx, Version{})
		switch {
		case lerr != nil:
			return "", lerr
		case now.Snapshot == 0:
			return "", feature.Errorf(feature.NotFound, opVerify, what, "the table it was made from is gone: there is an empty one in its place").
				WithHint("it was dropped, or this is another store of tables than the one it was made in (offline.catalog, offline.warehouse)")
		default:
			return "", feature.Errorf(feature.NotFound, opVerify, what, "version %d of the table, which it was made from, has expired", st.Version).
				WithHint("somebody took the tag %s off, which kept it: it cannot be made again", st.Tag)
		}
	}
	at, err := t.Load(ctx, Version{Tag: st.Tag})
	switch {
	case err == nil && at.Snapshot == st.Version:
		return "", nil
	case err == nil:
		return fmt.Sprintf("the tag %s of view %s names version %d now, not %d: nothing keeps that from expiry", st.Tag, st.View, at.Snapshot, st.Version), nil
	case feature.KindOf(err) != feature.NotFound:
		return "", err
	}
	return fmt.Sprintf("the tag %s of view %s is gone, so the version it was made from will expire; to keep it: weir table tag --view %s %s %d",
		st.Tag, st.View, st.View, st.Tag, st.Version), nil
}

// subset is a stream of rows with some of its columns.
type subset struct {
	rows   RowReader
	schema *arrow.Schema
	keep   []int
}

func withoutColumns(rows RowReader, drop []string) RowReader {
	s := &subset{rows: rows}
	var fields []arrow.Field
	for i, f := range rows.Schema().Fields() {
		if slices.Contains(drop, f.Name) {
			continue
		}
		fields = append(fields, f)
		s.keep = append(s.keep, i)
	}
	if len(fields) == rows.Schema().NumFields() {
		return rows
	}
	s.schema = arrow.NewSchema(fields, nil)
	return s
}

func (s *subset) Schema() *arrow.Schema { return s.schema }

func (s *subset) Read() (arrow.RecordBatch, error) {
	rec, err := s.rows.Read()
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	cols := make([]arrow.Array, len(s.keep))
	for i, k := range s.keep {
		cols[i] = rec.Column(k)
	}
	return array.NewRecordBatch(s.schema, cols, rec.NumRows()), nil
}
