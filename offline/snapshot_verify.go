package offline

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// VerifyRequest asks whether a snapshot can still be made value for value.
type VerifyRequest struct {
	Snapshot feature.Snapshot
	Service  *feature.Service // resolved, at Snapshot.ServiceVersion
	Tables   []Table          // one for each of Service.Views
	// Spine holds the spine's rows again. The snapshot's own file will do: its
	// feature columns are left out here.
	Spine    Spine
	Progress func(done, total int64)
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
}

// Verify makes a snapshot again from its recorded table versions and compares.
func (s *Snapshots) Verify(ctx context.Context, req VerifyRequest) (Verified, error) {
	snap := req.Snapshot
	if len(snap.Tables) != len(req.Service.Views) || len(req.Tables) != len(snap.Tables) {
		return Verified{}, feature.Errorf(feature.Invalid, "offline.verify", "snapshot "+snap.ID, "it was read from %d tables, the service has %d views", len(snap.Tables), len(req.Service.Views)).
			WithHint("verify it with the service at version %d", snap.ServiceVersion)
	}
	tables := make([]TableAt, len(req.Tables))
	for i, t := range snap.Tables {
		if v := req.Service.Views[i].Meta.Name; v != t.View {
			return Verified{}, feature.Errorf(feature.Invalid, "offline.verify", "snapshot "+snap.ID, "table %d was of view %s, the service has %s there", i+1, t.View, v).
				WithHint("verify it with the service at version %d", snap.ServiceVersion)
		}
		tables[i] = TableAt{req.Tables[i], Version{Snapshot: t.Version}}
		if t.Version == 0 {
			tables[i].Table = emptyAt{req.Tables[i]}
		}
	}
	spine := req.Spine
	spine.Rows = withoutColumns(spine.Rows, snap.Columns)
	h := newRowHash(spine.Rows.Schema().NumFields())
	res, err := Join(ctx, JoinRequest{
		Service: req.Service, Tables: tables, Spine: spine, Clock: snap.Clock,
		Progress: req.Progress, Memory: req.Memory, Workers: req.Workers,
	}, h.write)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Rows: res.Rows}
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
	v.Same = len(v.Differences) == 0
	return v, nil
}

// subset is a stream of rows with some of its columns.
type subset struct {
	rows   RowReader
	schema *arrow.Schema
	keep   []int
}

func withoutColumns(rows RowReader, drop []feature.SnapshotColumn) RowReader {
	s := &subset{rows: rows}
	var fields []arrow.Field
next:
	for i, f := range rows.Schema().Fields() {
		for _, d := range drop {
			if d.Name == f.Name {
				continue next
			}
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
