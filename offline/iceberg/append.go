package iceberg

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// maxTries bounds how often one call meets a moved base before it gives up as Unavailable.
const maxTries = 50

// Append commits files and positions; see offline.Table for the contract and
// the package comment for the steps.
func (t *Table) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	var at standing
	settled := func(now *loaded) (landed bool, err error) {
		if at, err = t.standingOf(now.meta); err != nil {
			return false, err
		}
		verdict, why := offline.Decide(at.positions, c)
		if verdict == offline.Landed {
			return true, nil
		}
		switch made, stands := madeBy(now.meta, c.ID); {
		case stands:
			return true, nil // landed, and others have moved on from there
		case made:
			return false, offline.StaleError(t.view, c, "it has landed, and a rollback took it off the table")
		case verdict == offline.Stale:
			return false, offline.StaleError(t.view, c, why)
		}
		if err := offline.TooOld(t.view, "iceberg.append", c.ID, files, sweptOf(now.meta)); err != nil {
			return false, err
		}
		return false, t.there(ctx, now, c, files)
	}
	return t.land(ctx, "iceberg.append", "view "+t.view.ID()+" commit "+c.ID, settled, func(now *loaded, a *attempted) error {
		return t.attempt(ctx, now, a, at, c, files)
	})
}

// there refuses a first commit, tried again after a rollback, whose files are no more.
func (t *Table) there(ctx context.Context, now *loaded, c *feature.Commit, files []offline.File) error {
	had, err := decodeRollbacks(now.meta.Properties()[propRollbacks])
	if err != nil {
		return t.foreign(offline.ErrNoPositions, "its property "+propRollbacks+" cannot be read: "+err.Error())
	}
	if !offline.MayBeGone(c, len(had)) {
		return nil
	}
	for _, f := range files {
		r, err := t.Open(ctx, f.Path)
		if feature.KindOf(err) == feature.NotFound {
			return offline.StaleError(t.view, c, "its file "+f.Path+" is gone: it landed once, and a rollback took it off the table")
		}
		if err != nil {
			return err
		}
		_ = r.Close() // only read
	}
	return nil
}

func (t *Table) attempt(ctx context.Context, now *loaded, a *attempted, at standing, c *feature.Commit, files []offline.File) error {
	next := standing{positions: offline.Advanced(at.positions, c), data: at.data}
	if len(files) > 0 {
		next.data = c.ID
	}
	tx := t.trying(now, a).NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return err
	}
	if err := tx.SetProperties(iceberg.Properties{propPositions: next.encode()}); err != nil {
		return err
	}
	if len(files) > 0 {
		spec := now.meta.PartitionSpec()
		data := make([]iceberg.DataFile, len(files))
		for i, f := range files {
			d, err := dataFileOf(f, spec, now.meta.DefaultSortOrder())
			if err != nil {
				return err
			}
			data[i] = d
		}
		summary := iceberg.Properties{propCommit: c.ID}
		maps.Copy(summary, summaryOf(next, c))
		err := tx.AddDataFiles(ctx, data, summary, table.WithoutAutoNameMapping(), table.WithoutDuplicateCheck())
		if err != nil {
			return err
		}
	}
	_, err := tx.Commit(ctx)
	return err
}

// dataFileOf describes a file for a manifest.
func dataFileOf(f offline.File, spec iceberg.PartitionSpec, order int) (iceberg.DataFile, error) {
	day := offline.DayOf(f.MinEffective)
	if f.MinEffective == offline.UnknownMin || day != offline.DayOf(f.MaxEffective) {
		return nil, feature.Errorf(feature.Internal, "iceberg.append", f.Path, "the rows are not all of one day")
	}
	b, err := iceberg.NewDataFileBuilder(spec, iceberg.EntryContentData, f.Path, iceberg.ParquetFile,
		map[int]any{partitionField: iceberg.Date(day)}, map[int]string{partitionField: "date"}, nil, f.Rows, f.Bytes)
	if err != nil {
		return nil, err
	}
	sizes, values, nulls := map[int]int64{}, map[int]int64{}, map[int]int64{}
	lower, upper := map[int][]byte{}, map[int][]byte{}
	for _, s := range f.Stats {
		id := s.ID
		if s.Element != 0 {
			id = s.Element // of a list, metrics are those of its leaf
		}
		sizes[id], values[id], nulls[id] = s.Bytes, s.Values, s.Nulls
		if s.Min != nil {
			lower[id] = s.Min
		}
		if s.Max != nil {
			upper[id] = s.Max
		}
	}
	b.ColumnSizes(sizes).ValueCounts(values).NullValueCounts(nulls).LowerBoundValues(lower).UpperBoundValues(upper)
	if f.Sorted {
		b.SortOrderID(order)
	}
	return b.Build(), nil
}

// listsByElement are the ids of a table's lists by those of their elements.
func listsByElement(m table.Metadata) map[int]int {
	by := map[int]int{}
	for _, sc := range m.Schemas() {
		for _, f := range sc.Fields() {
			if id := elementOf(f.Type); id != 0 {
				by[id] = f.ID
			}
		}
	}
	return by
}

// fileOf is the way back, without statistics. lists is listsByElement of the table.
func fileOf(m table.Metadata, d iceberg.DataFile, lists map[int]int) offline.File {
	f := offline.File{Path: d.FilePath(), Rows: d.Count(), Bytes: d.FileSizeBytes()}
	if id := d.SortOrderID(); id != nil && *id == m.DefaultSortOrder() && *id != table.UnsortedSortOrderID {
		f.Sorted = true
	}
	f.Has = slices.Collect(maps.Keys(d.ValueCounts()))
	for i, id := range f.Has {
		if of, ok := lists[id]; ok {
			f.Has[i] = of
		}
	}
	slices.Sort(f.Has)
	lower, upper := d.LowerBoundValues(), d.UpperBoundValues()
	get := func(name string) (int64, int64) {
		if x, ok := m.CurrentSchema().FindFieldByName(name); ok {
			lo, okLo := boundInt(lower[x.ID])
			hi, okHi := boundInt(upper[x.ID])
			if okLo && okHi {
				return lo, hi
			}
		}
		return offline.UnknownMin, offline.UnknownMax
	}
	f.MinEffective, f.MaxEffective = get(offline.ColEffective)
	if day, ok := d.Partition()[partitionField].(iceberg.Date); ok && f.MinEffective == offline.UnknownMin {
		// Another engine may keep no statistics, but it cannot avoid the partition.
		f.MinEffective, f.MaxEffective = int64(day)*offline.Day, (int64(day)+1)*offline.Day-1
	}
	f.MinKnown, f.MaxKnown = get(offline.ColKnown)
	f.MinEvent, f.MaxEvent = get(offline.ColEvent)
	f.MinOffset, f.MaxOffset = get(offline.ColOffset)
	f.MinPartition, f.MaxPartition = get(offline.ColPartition)
	return f
}

func boundInt(b []byte) (int64, bool) {
	switch len(b) {
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	case 8:
		return int64(binary.LittleEndian.Uint64(b)), true
	}
	return 0, false
}

// classify gives an error of a commit or a load its kind: what disk, network and
// database may get over is Unavailable.
func classify(op, what string, err error) error {
	var fe *feature.Error
	var pe *fs.PathError
	var en syscall.Errno
	var ne net.Error
	switch {
	case err == nil, errors.As(err, &fe), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, table.ErrCommitFailed):
		return feature.Errorf(feature.Unavailable, op, what, "%w", err).WithHint("other workers commit to the table without a pause; flush less often")
	case errors.As(err, &pe), errors.As(err, &en), errors.As(err, &ne):
		return feature.Errorf(feature.Unavailable, op, what, "%w", err).WithHint("look at the space and the rights of the warehouse")
	}
	return sqldb.Classify(op, what, err)
}

// pause lets rivals spread out before another try.
func pause(ctx context.Context, try int) error {
	most := min(time.Duration(try)*2*time.Millisecond, 50*time.Millisecond)
	timer := time.NewTimer(most/2 + rand.N(most/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
