package iceberg

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
)

// Sweep removes orphans. First the cutoff is committed: from then on nobody can
// name a file that was begun before it, however long a worker was away. Then
// everything in the table's folder goes that is older, and that the metadata
// after that commit does not name.
func (t *Table) Sweep(ctx context.Context, o offline.SweepOptions) (done offline.Swept, err error) {
	if err := offline.CheckSweep(t.view, o, t.now()); err != nil {
		return done, err
	}
	settled := func(now *loaded) (bool, error) {
		_, err := t.standingOf(now.meta)
		return o.DryRun || sweptOf(now.meta) >= o.Before, err
	}
	err = t.land(ctx, "iceberg.sweep", "view "+t.view.ID(), settled, func(now *loaded, a *attempted) error {
		_, err := t.commit(ctx, now, a, table.NewSetPropertiesUpdate(iceberg.Properties{propSwept: strconv.FormatInt(o.Before, 10)}))
		return err
	})
	if err != nil {
		return done, err
	}
	now, err := t.load(ctx)
	if err != nil {
		return done, err
	}
	named, err := t.named(ctx, now)
	if err != nil {
		return done, err
	}
	var orphans []string
	for _, folder := range []string{"data", "metadata"} {
		err := t.store.files.list(ctx, t.store.files.join(t.location, folder), func(f fileInfo) error {
			if f.modified < o.Before-offline.SweepMargin && !named[t.store.files.key(f.name)] && !spared(t.store.files.key(f.name), named) {
				orphans = append(orphans, f.name)
				done.Files++
				done.Bytes += f.size
			}
			return nil
		})
		if err != nil {
			return offline.Swept{}, classify("iceberg.sweep", "view "+t.view.ID(), err)
		}
	}
	if o.DryRun {
		return done, nil
	}
	// Those that cannot be listed (a right of its own on some servers) cost room and nothing else.
	if n, err := t.store.files.abandoned(ctx, t.location, time.UnixMicro(o.Before-offline.SweepMargin)); err != nil {
		t.store.log.Warn("uploads that were never ended could not be looked for", "view", t.view.ID(), "error", err)
	} else if n > 0 {
		t.store.log.Info("uploads that were never ended are removed", "view", t.view.ID(), "uploads", n)
	}
	if len(orphans) == 0 {
		return done, nil
	}
	if err := t.store.files.remove(ctx, orphans); err != nil {
		return offline.Swept{}, classify("iceberg.sweep", "view "+t.view.ID(), err)
	}
	t.store.log.Info("orphans removed", "view", t.view.ID(), "files", done.Files, "bytes", done.Bytes)
	return done, nil
}

// named are all files that the table's metadata names, by key: those of every
// snapshot and branch, and the older metadata files that are kept for readers.
func (t *Table) named(ctx context.Context, now *loaded) (map[string]bool, error) {
	key := t.store.files.key
	out := map[string]bool{key(now.location): true}
	for e := range now.meta.PreviousFiles() {
		out[key(e.MetadataFile)] = true
	}
	for _, name := range besides(now.meta, func(int64) bool { return true }) {
		out[key(name)] = true
	}
	c, err := t.censusOf(ctx, now.meta.Snapshots())
	if err != nil {
		return nil, err
	}
	for k := range c.lists {
		out[k] = true
	}
	for k := range c.manifests {
		out[k] = true
	}
	return out, t.files(ctx, c.manifests, func(k string, _ file) { out[k] = true })
}

// spared are files that nothing names and that are none of the table's: locks,
// hints for readers without a catalog, and checksums that Hadoop puts beside a file.
func spared(key string, named map[string]bool) bool {
	dir, name := path.Split(strings.ReplaceAll(key, `\`, "/"))
	if strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".crc") {
		return named[dir+strings.TrimSuffix(name[1:], ".crc")]
	}
	return name == lockName || name == "version-hint.text"
}
