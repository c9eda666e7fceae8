package iceberg

import (
	"context"
	"errors"
	"fmt"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Table is one view's table.
type Table struct {
	store    *Store
	view     *feature.View
	cols     []offline.Column
	location string
	lock     chan struct{}

	*newest
}

var (
	_ offline.Table = (*Table)(nil)
	_ offline.Store = (*Store)(nil)
)

func (t *Table) View() *feature.View       { return t.view }
func (t *Table) Columns() []offline.Column { return t.cols }
func (t *Table) Close() error              { return nil }

// AllColumns are those of the newest metadata seen.
func (t *Table) AllColumns() []offline.Column {
	return columns(t.seen().meta)
}

// Location is the table's folder as a URI, for other engines and for upkeep.
func (t *Table) Location() string { return t.location }

// Dir is the same as a path.
func (t *Table) Dir() string { return localPath(t.location) }

// load returns the newest metadata.
func (t *Table) load(ctx context.Context) (*loaded, error) {
	now, err := t.store.read(ctx, t.view.Meta.Project, t.view.Meta.Name, t.seen())
	if err != nil {
		return nil, err
	}
	if now == nil || now.meta.Location() != t.location {
		return nil, feature.Errorf(feature.NotFound, "iceberg.load", "view "+t.view.ID(), "the table was dropped")
	}
	t.keep(now)
	return now, nil
}

// handle is iceberg-go's view of the table, committing by our swap.
func (t *Table) handle(l *loaded) *table.Table { return t.trying(l, &attempted{files: t.store.files}) }

// trying is handle for a commit that is undone where it does not land.
func (t *Table) trying(l *loaded, a *attempted) *table.Table {
	ident := table.Identifier{t.view.Meta.Project, t.view.Meta.Name}
	return table.New(ident, l.meta, l.location, a.fs, swapper{t, l, a})
}

// Positions is where the table stands.
func (t *Table) Positions(ctx context.Context) ([]feature.Position, error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	s, err := t.standingOf(now.meta)
	return s.positions, err
}

// change runs fn in transactions on the newest metadata until one lands. fn
// returns false when there is nothing (left) to do.
func (t *Table) change(ctx context.Context, op string, fn func(*loaded, *table.Transaction) (bool, error)) error {
	unlock := t.acquire(ctx)
	defer unlock()
	for try := 1; ; try++ {
		now, err := t.load(ctx)
		if err != nil {
			return err
		}
		tx := t.handle(now).NewTransaction()
		more, err := fn(now, tx)
		if err == nil && !more {
			return nil
		}
		if err == nil {
			if _, err = tx.Commit(ctx); err == nil {
				return nil
			}
		}
		if !errors.Is(err, table.ErrCommitFailed) || try >= maxTries {
			return classify(op, "view "+t.view.ID(), err)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// evolve adds, renames and widens columns as the view has.
func (t *Table) evolve(ctx context.Context) error {
	if err := t.renameOld(ctx); err != nil {
		return err
	}
	next, changed, err := layout(t.seen().meta).For(t.view)
	if err != nil {
		return err
	}
	if changed {
		err = t.change(ctx, "iceberg.evolve", func(now *loaded, _ *table.Transaction) (bool, error) {
			if next, changed, err = layout(now.meta).For(t.view); err != nil || !changed {
				return false, err
			}
			// A transaction renames and adds by name, and cannot swap two; so the updates go to the swap directly.
			_, _, err := swapper{t, now, &attempted{}}.CommitTable(ctx, table.Identifier{t.view.Meta.Project, t.view.Meta.Name}, nil, reshape(now.meta, next))
			return false, err
		})
		if err != nil {
			return err
		}
		t.store.log.Info("the table's columns follow the view", "view", t.view.ID(), "version", t.view.Version, "columns", len(next.Columns))
	}
	t.cols = next.Of(t.view)
	return nil
}

// Load returns the table at v.
func (t *Table) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	head, err := t.standingOf(now.meta)
	if err != nil {
		return nil, err
	}
	snap, newest := now.meta.CurrentSnapshot(), true
	if v != (offline.Version{}) {
		snap, newest = nil, false
		want := v.Snapshot
		if v.At != 0 {
			id, ok := t.pastOf(now.meta).AsOf(v.At)
			if ok && id == 0 {
				return &offline.State{}, nil
			}
			want = id
		}
		switch {
		case v.Tag == "":
			snap = now.meta.SnapshotByID(want)
		case v.Tag != table.MainBranch:
			snap = now.meta.SnapshotByName(v.Tag)
		}
		if snap == nil || want != 0 && snap.SnapshotID != want {
			return nil, offline.NoVersion(t.view, v)
		}
	}
	st := &offline.State{Positions: head.positions, Columns: columns(now.meta)}
	if snap == nil {
		return st, nil
	}
	if !newest {
		st.Positions, st.Columns = nil, columnsOf(now.meta, snap)
		if own, _ := nearest(now.meta, snap); own != nil {
			s, err := decodeStanding(own.Summary.Properties[propPositions])
			if err != nil {
				return nil, t.foreign(offline.ErrNoPositions, "those of a snapshot cannot be read: "+err.Error())
			}
			st.Positions = s.positions
		}
	}
	st.Snapshot, st.CommittedAt = snap.SnapshotID, snap.TimestampMs*1000
	if st.Files, err = t.filesOf(ctx, now.meta, snap, newest); err != nil {
		return nil, err
	}
	for _, f := range st.Files {
		st.Rows += f.Rows
	}
	return st, nil
}

// filesOf lists the data files of a snapshot.
func (t *Table) filesOf(ctx context.Context, m table.Metadata, snap *table.Snapshot, keep bool) ([]offline.File, error) {
	list, files, err := t.manifestsOf(ctx, m, snap, keep)
	var out []offline.File
	for _, mf := range list {
		out = append(out, files[mf.FilePath()]...)
	}
	return out, err
}

// manifestsOf lists the manifests of a snapshot and the data files in each.
// Manifests never change, so those of the newest state are kept decoded.
func (t *Table) manifestsOf(ctx context.Context, m table.Metadata, snap *table.Snapshot, keep bool) ([]iceberg.ManifestFile, map[string][]offline.File, error) {
	what := fmt.Sprintf("view %s snapshot %d", t.view.ID(), snap.SnapshotID)
	from := t.store.files.with(ctx)
	list, err := snap.Manifests(from)
	if err != nil {
		return nil, nil, classify("iceberg.load", what, err)
	}
	read := map[string][]offline.File{}
	lists := listsByElement(m)
	for _, mf := range list {
		if mf.ManifestContent() != iceberg.ManifestContentData {
			if mf.HasAddedFiles() || mf.HasExistingFiles() {
				return nil, nil, feature.Errorf(feature.Unsupported, "iceberg.load", what, "another engine has left delete files").
					WithHint("let that engine rewrite the data files (rewrite_data_files), or set its write.delete.mode to copy-on-write")
			}
			continue
		}
		t.mu.Lock()
		fs, ok := t.manifests[mf.FilePath()]
		t.mu.Unlock()
		if !ok {
			for e, err := range mf.Entries(from, true) {
				if err != nil {
					return nil, nil, classify("iceberg.load", what, err)
				}
				fs = append(fs, fileOf(m, e.DataFile(), lists))
			}
		}
		read[mf.FilePath()] = fs
	}
	if keep {
		t.mu.Lock()
		t.manifests = read
		t.mu.Unlock()
	}
	return list, read, nil
}
