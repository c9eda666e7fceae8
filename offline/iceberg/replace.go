package iceberg

import (
	"context"
	"maps"
	"slices"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
)

// Replace names files in the place of others; see offline.Upkeep. The snapshot
// is made here and not by iceberg-go's rewrite, which reads every manifest on
// each attempt and leaves as many as there were.
func (t *Table) Replace(ctx context.Context, r *offline.Rewrite) error {
	if err := offline.CheckRewrite(t.view, r); err != nil || len(r.Gone) == 0 {
		return err
	}
	what := "view " + t.view.ID() + " rewrite " + r.ID
	var at standing
	settled := func(now *loaded) (done bool, err error) {
		if at, err = t.standingOf(now.meta); err != nil {
			return false, err
		}
		if rewrittenBy(now.meta, r.ID) {
			return true, nil
		}
		return false, offline.TooOld(t.view, "iceberg.replace", r.ID, r.New, sweptOf(now.meta))
	}
	return t.land(ctx, "iceberg.replace", what, settled, func(now *loaded, a *attempted) error {
		current := now.meta.CurrentSnapshot()
		if current == nil {
			return offline.GoneError(t.view, r, r.Gone[0].Path)
		}
		p, err := t.produce(ctx, now, a)
		if err != nil {
			return err
		}
		if err := p.replace(current, r); err != nil {
			return err
		}
		props := iceberg.Properties{propRewrite: r.ID, propData: at.data}
		maps.Copy(props, summaryOf(at, nil))
		s, err := p.snapshot(table.OpReplace, &current.SnapshotID, props)
		if err != nil {
			return err
		}
		_, err = t.commit(ctx, now, a, table.NewAddSnapshotUpdate(s), mainTo(now.meta, s.SnapshotID))
		return err
	})
}

// rewrittenBy reports whether a snapshot that the table stands on is from a rewrite.
func rewrittenBy(m table.Metadata, id string) bool {
	return reached(m, func(s *table.Snapshot) bool { return s.Summary != nil && s.Summary.Properties[propRewrite] == id })
}

// replace writes the manifests of a table in which r has happened. Those that
// hold files which go are written anew, together with all small ones, ordered by
// day; so their number goes with the number of files and not of commits.
func (p *production) replace(current *table.Snapshot, r *offline.Rewrite) error {
	list, files, err := p.t.manifestsOf(p.ctx, p.now.meta, current, true)
	if err != nil {
		return err
	}
	key := p.t.store.files.key
	gone := make(map[string]string, len(r.Gone))
	for _, f := range r.Gone {
		gone[key(f.Path)] = f.Path
	}
	var again []iceberg.ManifestFile
	for _, mf := range list {
		mine := files[mf.FilePath()]
		touched := false
		for _, f := range mine {
			_, goes := gone[key(f.Path)]
			touched = touched || goes
		}
		switch {
		case touched, len(mine) > 0 && len(mine) < manifestFiles/2:
			again = append(again, mf)
		case len(mine) > 0:
			p.keep(mf)
		}
		for _, f := range mine {
			p.count(f, 1)
		}
	}
	var stay, goes []iceberg.ManifestEntry
	for _, mf := range again {
		for e, err := range mf.Entries(p.a, true) {
			if err != nil {
				return err
			}
			if k := key(e.DataFile().FilePath()); gone[k] != "" {
				delete(gone, k)
				goes = append(goes, e)
			} else {
				stay = append(stay, e)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Values(gone)) {
		return offline.GoneError(p.t.view, r, path)
	}
	spec := p.now.meta.PartitionSpec()
	added := make([]iceberg.ManifestEntry, 0, len(r.New))
	for _, f := range r.New {
		d, err := dataFileOf(f, spec, p.now.meta.DefaultSortOrder())
		if err != nil {
			return err
		}
		added = append(added, iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &p.id, nil, nil, d))
		p.count(f, 1)
		p.added++
		p.addedRows += f.Rows
		p.addedBytes += f.Bytes
	}
	for _, f := range r.Gone {
		p.count(f, -1)
		p.removed++
		p.removedRows += f.Rows
		p.removedBytes += f.Bytes
	}
	for _, part := range []struct {
		entries []iceberg.ManifestEntry
		put     func(*iceberg.ManifestWriter, iceberg.ManifestEntry) error
	}{
		{added, (*iceberg.ManifestWriter).Add}, {goes, (*iceberg.ManifestWriter).Delete}, {stay, (*iceberg.ManifestWriter).Existing},
	} {
		if err := p.manifests(part.entries, part.put); err != nil {
			return err
		}
	}
	return nil
}
