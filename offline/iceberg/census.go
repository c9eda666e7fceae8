package iceberg

import (
	"context"
	"fmt"
	"sync"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// readers is how many manifests or lists of them are read at once.
const readers = 8

// census is what snapshots name, by place.key.
type census struct {
	lists     map[string]string
	manifests map[string]iceberg.ManifestFile
}

// censusOf reads the manifest lists of snapshots.
func (t *Table) censusOf(ctx context.Context, snaps []table.Snapshot) (*census, error) {
	c := &census{lists: map[string]string{}, manifests: map[string]iceberg.ManifestFile{}}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, s := range snaps {
		if s.ManifestList != "" {
			c.lists[t.store.files.key(s.ManifestList)] = s.ManifestList
		}
		g.Go(func() error {
			list, err := s.Manifests(t.store.files.with(gctx))
			if err != nil {
				return classify("iceberg.upkeep", fmt.Sprintf("view %s snapshot %d", t.view.ID(), s.SnapshotID), err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, mf := range list {
				c.manifests[t.store.files.key(mf.FilePath())] = mf
			}
			return nil
		})
	}
	return c, g.Wait()
}

// file is a data file (or a file of deletes) that a manifest names.
type file struct {
	name  string
	bytes int64
}

// files calls fn with every file that lives in the manifests, one at a time.
func (t *Table) files(ctx context.Context, manifests map[string]iceberg.ManifestFile, fn func(key string, f file)) error {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, mf := range manifests {
		g.Go(func() error {
			var mine []file
			for e, err := range mf.Entries(t.store.files.with(gctx), true) {
				if err != nil {
					return classify("iceberg.upkeep", "view "+t.view.ID()+" manifest "+mf.FilePath(), err)
				}
				mine = append(mine, file{e.DataFile().FilePath(), e.DataFile().FileSizeBytes()})
			}
			mu.Lock()
			defer mu.Unlock()
			for _, f := range mine {
				fn(t.store.files.key(f.name), f)
			}
			return nil
		})
	}
	return g.Wait()
}

// besides are the files that metadata names by itself: statistics of snapshots.
func besides(m table.Metadata, of func(snapshot int64) bool) (names []string) {
	for s := range m.Statistics() {
		if of(s.SnapshotID) {
			names = append(names, s.StatisticsPath)
		}
	}
	for s := range m.PartitionStatistics() {
		if of(s.SnapshotID) {
			names = append(names, s.StatisticsPath)
		}
	}
	return names
}
