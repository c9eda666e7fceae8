package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/cmd/weir/migrate"
	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/online/feastredis"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// migration is one run.
type migration struct {
	e     *env
	c     *client
	args  *feastArgs
	dir   string // of this run
	views []*migrated
	found *feastredis.Report
}

// migrated is a view on its way.
type migrated struct {
	pair
	rows   *migrate.Rows
	report *feastredis.ViewReport
	all    int64 // rows, each once
	sent   int64 // rows that the table did not have
	online bool
	out    importOutcome
	err    error // of the view alone; the others go on
}

func (e *env) runMigrate(ctx context.Context, c *client, a *feastArgs, from feastredis.Config) (err error) {
	pairs, err := c.pairs(ctx, a.views)
	if err != nil {
		return err
	}
	if a.project == "" {
		a.project = c.project
	}
	m := &migration{e: e, c: c, args: a}
	dir, done, err := migrate.Folder(a.spool)
	if err != nil {
		return fmt.Errorf("--spool: %w", err)
	}
	defer done()
	m.dir = dir
	if err := os.Mkdir(filepath.Join(m.dir, "new"), 0o700); err != nil {
		return fmt.Errorf("--spool: %w", err)
	}
	defer func() {
		for _, v := range m.views {
			if v.rows != nil {
				_ = v.rows.Close()
			}
		}
	}()
	var wanted []feastredis.View
	var takers []*migrated
	for _, p := range pairs {
		v := &migrated{pair: p}
		m.views = append(m.views, v)
		def, err := c.view(ctx, p.to)
		if err != nil {
			return err
		}
		v.online = def.IsOnline()
		if v.rows, v.err = migrate.NewRows(def, m.dir); v.err == nil {
			wanted = append(wanted, feastredis.View{Name: p.from, Keys: def.Keys, Features: def.Features})
			takers = append(takers, v)
		}
	}
	if err := m.read(ctx, from, wanted, takers); err != nil {
		return err
	}
	bar := &importBar{bar: e.bar(1, "importing"), of: len(takers)}
	for _, v := range takers {
		if v.err = m.bring(ctx, v, bar); fatal(v.err) {
			return v.err
		}
		bar.file++
	}
	_ = bar.bar.Finish()
	return m.show()
}

// read spools all rows that can be read.
func (m *migration) read(ctx context.Context, from feastredis.Config, views []feastredis.View, takers []*migrated) error {
	s, err := feastredis.Open(from)
	if err != nil {
		return err
	}
	defer s.Close()
	size, err := s.Size(ctx)
	if err != nil {
		return err
	}
	r := feastredis.NewReader(m.args.project, views)
	m.found = r.Report()
	for i, v := range takers {
		v.report = m.found.Views[i]
	}
	bar := m.e.bar(size, "reading Feast's Redis")
	defer func() { _ = bar.Finish() }()
	return s.Scan(ctx, r.Wants, func(key []byte, hash map[string]string) error {
		return r.Read(key, hash, func(view int, row feastredis.Row) error {
			return takers[view].rows.Add(migrate.Row(row))
		})
	}, func(keys int) { at(bar, min(m.found.Keys, size), size) })
}

// bring imports a view's rows: the file of all of them where it is known or its import
// was begun, or where the table is empty; else a file of those that the table does not have.
func (m *migration) bring(ctx context.Context, v *migrated, bar *importBar) (err error) {
	name := fmt.Sprintf("feast-redis-%s.%s.jsonl", m.args.project, v.from)
	file := filepath.Join(m.dir, name)
	if v.all, err = v.rows.WriteAll(file); err != nil || v.all == 0 {
		return err
	}
	v.sent = v.all
	var null int64
	some := filepath.Join(m.dir, "new", name)
	offer, err := m.offered(ctx, v, file)
	switch {
	case err != nil:
		return err
	case offer.Have: // what of it is not in the table is in quarantine
		missing, null, err := m.newRows(ctx, v, some)
		v.sent, v.out.Quarantined = missing-null, missing-null
		return err
	case offer.From == 0:
		rows, err := m.tableRows(ctx, v)
		if err != nil {
			return err
		}
		if rows == 0 {
			break
		}
		if v.sent, null, err = m.newRows(ctx, v, some); err != nil || v.sent == 0 {
			return err
		}
		if v.sent < v.all {
			file = some
		}
	}
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	bar.bar.ChangeMax64(2 * st.Size())
	v.out = m.e.sendFile(ctx, m.c, m.flags(v), localFile{file, st.Size()}, bar)
	if v.out.AlreadyImported { // by an earlier run, and still the table does not have them
		v.out.Quarantined = v.sent - null
	}
	return v.out.err
}

func (m *migration) flags(v *migrated) *importFlags {
	return &importFlags{view: v.to, format: "jsonl", dryRun: m.args.dryRun}
}

// tableRows is how many rows the view's table has.
func (m *migration) tableRows(ctx context.Context, v *migrated) (int64, error) {
	st, err := m.c.ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: m.c.project, View: v.to})
	if err != nil || len(st.Views) == 0 {
		return 0, err
	}
	return st.Views[0].Rows, nil
}

// offered asks what the server has of a file, and sends nothing of it.
func (m *migration) offered(ctx context.Context, v *migrated, file string) (*weirv1.ImportOffer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash, size, err := contentHash(ctx, f)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.c.ingest.Import(ctx)
	if err != nil {
		return nil, err
	}
	h := &weirv1.ImportHeader{Project: m.c.project, View: v.to, Format: "jsonl", FileName: filepath.Base(file), Size: size, ContentHash: hash}
	if err := stream.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r, err := stream.Recv()
	return r.GetOffer(), err
}

// newRows asks the table for each row at its own time, and writes those for which it
// has another answer.
func (m *migration) newRows(ctx context.Context, v *migrated, file string) (rows, null int64, err error) {
	x := newExchange(ctx)
	defer x.fail(nil)
	stream, err := m.c.snapshots.Create(x.ctx)
	if err != nil {
		return 0, 0, err
	}
	h := &weirv1.SnapshotHeader{Project: m.c.project, Features: []string{v.to + ":*"}, TimeColumn: migrate.TimeColumn, SpineRows: v.all}
	if err := stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	bar := m.e.bar(v.all, "comparing "+v.to)
	defer func() { _ = bar.Finish() }()
	x.beside(func() error {
		w := arrowstream.NewWriter(v.rows.Schema(), func(b []byte) error {
			return stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Spine{Spine: b}})
		})
		err := v.rows.Spine(func(rec arrow.RecordBatch) error { return w.Write(rec) })
		if err == nil {
			err = w.Close()
		}
		if errors.Is(err, io.EOF) {
			return nil // the server has ended the call; Recv tells why
		}
		if err != nil {
			return err
		}
		return stream.CloseSend()
	})
	down(x, rowMessages[*weirv1.CreateSnapshotResponse, weirv1.Snapshot]{
		messages: stream, data: (*weirv1.CreateSnapshotResponse).GetData, result: (*weirv1.CreateSnapshotResponse).GetSnapshot,
		told: func(r *weirv1.CreateSnapshotResponse) {
			if p := r.GetProgress(); p != nil {
				at(bar, p.RowsDone, p.RowsTotal)
			}
		},
	}, func(r io.Reader) error {
		in, err := ipc.NewReader(r)
		if err != nil {
			return notRows(err)
		}
		defer in.Release()
		rows, null, err = v.rows.WriteNew(file, in.Read)
		return err
	})
	return rows, null, x.wait()
}
