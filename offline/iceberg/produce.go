package iceberg

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// manifestFiles is how many data files a manifest that is written here has at
// most: about a megabyte of it.
const manifestFiles = 4000

// production is a snapshot being made.
type production struct {
	ctx      context.Context
	t        *Table
	now      *loaded
	a        *attempted
	id       int64
	name     string // of its files
	paths    table.LocationProvider
	written  []iceberg.ManifestFile
	kept     []iceberg.ManifestFile
	sequence int64

	files, rows, bytes                 int64 // that the table has then
	added, addedRows, addedBytes       int64
	removed, removedRows, removedBytes int64
}

func (t *Table) produce(ctx context.Context, now *loaded, a *attempted) (*production, error) {
	if v := now.meta.Version(); v != 2 {
		return nil, feature.Errorf(feature.Unsupported, "iceberg.produce", "view "+t.view.ID(), "the table is of format version %d, only 2 is known here", v).
			WithHint("leave compaction and rollbacks to the engine that changed the version")
	}
	paths, err := table.LoadLocationProvider(now.meta.Location(), now.meta.Properties())
	if err != nil {
		return nil, err
	}
	p := &production{ctx: ctx, t: t, now: now, a: a, name: uuid.NewString(), paths: paths, sequence: now.meta.LastSequenceNumber() + 1}
	for p.id == 0 || now.meta.SnapshotByID(p.id) != nil {
		p.id = rand.Int64()
	}
	return p, nil
}

// keep leaves a manifest of the parent as it is.
func (p *production) keep(mf iceberg.ManifestFile) { p.kept = append(p.kept, mf) }

func (p *production) count(f offline.File, sign int64) {
	p.files += sign
	p.rows += sign * f.Rows
	p.bytes += sign * f.Bytes
}

// manifests writes entries, by day, into as many manifests as it takes.
func (p *production) manifests(entries []iceberg.ManifestEntry, put func(*iceberg.ManifestWriter, iceberg.ManifestEntry) error) error {
	bySpec := map[int32][]iceberg.ManifestEntry{}
	for _, e := range entries {
		bySpec[e.DataFile().SpecID()] = append(bySpec[e.DataFile().SpecID()], e)
	}
	for _, spec := range p.now.meta.PartitionSpecs() {
		list := bySpec[int32(spec.ID())]
		delete(bySpec, int32(spec.ID()))
		slices.SortStableFunc(list, func(a, b iceberg.ManifestEntry) int { return cmp.Compare(dayOf(a.DataFile()), dayOf(b.DataFile())) })
		for part := range slices.Chunk(list, manifestFiles) {
			if err := p.manifest(spec, part, put); err != nil {
				return err
			}
		}
	}
	if len(bySpec) > 0 {
		return fmt.Errorf("files of a partition spec that the table does not have")
	}
	return nil
}

func dayOf(d iceberg.DataFile) iceberg.Date {
	day, _ := d.Partition()[partitionField].(iceberg.Date)
	return day
}

func (p *production) manifest(spec iceberg.PartitionSpec, entries []iceberg.ManifestEntry, put func(*iceberg.ManifestWriter, iceberg.ManifestEntry) error) error {
	path := p.paths.NewMetadataLocation(fmt.Sprintf("%s-m%d.avro", p.name, len(p.written)))
	return p.file(path, func(out *counted) error {
		w, err := iceberg.NewManifestWriter(p.now.meta.Version(), out, spec, p.now.meta.CurrentSchema(), p.id)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := put(w, e); err != nil {
				_ = w.Close()
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		mf, err := w.ToManifestFile(path, out.n)
		p.written = append(p.written, mf)
		return err
	})
}

func (p *production) file(path string, write func(*counted) error) error {
	f, err := p.a.Create(path)
	if err != nil {
		return err
	}
	out := &counted{Writer: f}
	if err := write(out); err != nil {
		_ = f.Close() // the attempt takes it away
		return err
	}
	return f.Close()
}

type counted struct {
	io.Writer
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

// snapshot writes the list of manifests and describes it all.
func (p *production) snapshot(op table.Operation, parent *int64, props iceberg.Properties) (*table.Snapshot, error) {
	m := p.now.meta
	path := p.paths.NewMetadataLocation(fmt.Sprintf("snap-%d-0-%s.avro", p.id, p.name))
	err := p.file(path, func(out *counted) error {
		return iceberg.WriteManifestList(m.Version(), out, p.id, parent, &p.sequence, 0, append(p.written, p.kept...))
	})
	if err != nil {
		return nil, err
	}
	for name, n := range map[string]int64{
		"added-data-files": p.added, "added-records": p.addedRows, "added-files-size": p.addedBytes,
		"deleted-data-files": p.removed, "deleted-records": p.removedRows, "removed-files-size": p.removedBytes,
	} {
		if n > 0 {
			props[name] = strconv.FormatInt(n, 10)
		}
	}
	for name, n := range map[string]int64{
		"total-data-files": p.files, "total-records": p.rows, "total-files-size": p.bytes,
		"total-delete-files": 0, "total-position-deletes": 0, "total-equality-deletes": 0,
	} {
		props[name] = strconv.FormatInt(n, 10)
	}
	schema := m.CurrentSchema().ID
	return &table.Snapshot{SnapshotID: p.id, ParentSnapshotID: parent, SequenceNumber: p.sequence, ManifestList: path, SchemaID: &schema,
		// Not before the table's last change, whatever this machine's clock says.
		TimestampMs: max(time.Now().UnixMilli(), m.LastUpdatedMillis()),
		Summary:     &table.Summary{Operation: op, Properties: props}}, nil
}
