package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// importing is a works with an importer that remembers.
func importing(t *testing.T) (*works, *ingest.Importer) {
	t.Helper()
	w := newWorks(t, 1)
	w.apply(personView("first"))
	none := sinktest.NewFaults(1, 0)
	im := w.importer(w.config(), func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
	im.Positions = func(_ context.Context, v *feature.View) ([]feature.Position, error) {
		return w.table(v.Meta.Name).Positions(), nil
	}
	return w, im
}

// text is n good rows of CSV, other ones for each seed.
func text(seed, n int) string {
	var b strings.Builder
	b.WriteString("id,at,age\n")
	for i := range n {
		fmt.Fprintf(&b, "k%d,%d,%d\n", i%20, base.Add(time.Duration(seed*1000+i)*time.Second).UnixMicro(), i%90)
	}
	return b.String()
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// TestImportFromFolder: files below a folder in the order of their names; what is
// not theirs is passed over, a bad one stops nobody, and a content counts once.
func TestImportFromFolder(t *testing.T) {
	t.Parallel()
	w, im := importing(t)
	dir := t.TempDir()
	put(t, dir, "b/2.csv", text(2, 20))
	put(t, dir, "a/1.csv", text(1, 10))
	put(t, dir, "c/again.csv", text(1, 10))
	put(t, dir, "d.parquet", "PAR1 and then nothing")
	put(t, dir, "_temporary/0/3.csv", text(3, 30))
	put(t, dir, "_SUCCESS", "")
	put(t, dir, ".hidden.csv", text(4, 30))
	put(t, dir, "5.csv.tmp", text(5, 30))
	put(t, dir, "notes.txt", "nothing")
	req := ingest.FromRequest{ImportRequest: ingest.ImportRequest{Project: "p", View: "first"}, Location: dir, Place: ingest.Folder(dir), Spool: t.TempDir()}
	var said []string
	report := func(e ingest.FromEvent) {
		switch name := filepath.ToSlash(strings.TrimPrefix(e.File, dir+"/")); {
		case e.Err != nil:
			said = append(said, name+" failed")
		case e.Result != nil:
			said = append(said, fmt.Sprintf("%s %d-%d", name, e.Result.Rows, e.Result.Skipped))
		}
	}
	require.NoError(t, im.ImportFrom(t.Context(), req, report))
	require.Equal(t, []string{"a/1.csv 10-0", "b/2.csv 20-0", "c/again.csv 10-10", "d.parquet failed"}, said)
	require.Len(t, w.table("first").Rows(), 30)
	require.Len(t, w.table("first").Positions(), 2, "the table hears of a file that cannot be read")

	said = nil
	req.Glob = "*.csv"
	require.NoError(t, im.ImportFrom(t.Context(), req, report))
	require.Equal(t, []string{"a/1.csv 10-10", "b/2.csv 20-20", "c/again.csv 10-10"}, said)
	require.Len(t, w.table("first").Rows(), 30)

	req.Glob = "*.nothing"
	require.Equal(t, feature.NotFound, feature.KindOf(im.ImportFrom(t.Context(), req, report)))
	req.Glob = "["
	require.Equal(t, feature.Invalid, feature.KindOf(im.ImportFrom(t.Context(), req, report)))
}

// looks is a place that tells of each look, and which files were read.
type looks struct {
	ingest.ImportPlace
	before func(look int)
	n      int
	read   []string
	remote bool
}

func (l *looks) Files(ctx context.Context, f func(ingest.ImportFile) error) error {
	l.n++
	l.before(l.n)
	return l.ImportPlace.Files(ctx, f)
}

func (l *looks) Path(name string) string {
	if l.remote {
		return ""
	}
	return l.ImportPlace.Path(name)
}

func (l *looks) Read(ctx context.Context, name string) (io.ReadCloser, ingest.ImportFile, error) {
	l.read = append(l.read, name)
	return l.ImportPlace.Read(ctx, name)
}

// TestImportWatch: a file that is still written to is left alone, one that stays
// the same for two looks is taken once, and is not read again, by nobody.
func TestImportWatch(t *testing.T) {
	t.Parallel()
	w, im := importing(t)
	ledger := filepath.Join(t.TempDir(), "data", "imports.jsonl")
	var err error
	im.Ledger, err = ingest.OpenLedger(ledger)
	require.NoError(t, err)
	dir := t.TempDir()
	whole := text(1, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &looks{ImportPlace: ingest.Folder(dir), remote: true}
	l.before = func(n int) {
		switch n {
		case 1, 2, 3: // longer at each look
			put(t, dir, "slow.csv", whole[:200*n])
			require.Empty(t, l.read)
		case 4:
			put(t, dir, "slow.csv", whole)
		case 7: // taken at the fifth
			w.holds("first", 100)
			require.Equal(t, []string{"slow.csv"}, l.read)
			put(t, dir, "bad.parquet", "PAR1 and then nothing")
		case 10:
			require.Equal(t, []string{"slow.csv", "bad.parquet"}, l.read, "what failed is not tried again")
			cancel()
		}
	}
	req := ingest.FromRequest{ImportRequest: ingest.ImportRequest{Project: "p", View: "first"}, Location: "s3://bucket/x", Place: l, Watch: true, Interval: time.Millisecond, Spool: t.TempDir()}
	var done, failed int
	require.ErrorIs(t, im.ImportFrom(ctx, req, func(e ingest.FromEvent) {
		if e.Result != nil {
			done++
		}
		if e.Err != nil {
			failed++
		}
	}), context.Canceled)
	require.Equal(t, 1, done)
	require.Equal(t, 1, failed)
	left, err := os.ReadDir(req.Spool)
	require.NoError(t, err)
	require.Empty(t, left)

	// Another process, later; the last line of its ledger was cut off by a crash.
	f, err := os.OpenFile(ledger, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"view":"p/first","id":"0`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	im.Ledger, err = ingest.OpenLedger(ledger)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "bad.parquet")))
	ctx, cancel = context.WithCancel(t.Context())
	l.n, l.read = 0, nil
	l.before = func(n int) {
		if n == 5 {
			cancel()
		}
	}
	require.ErrorIs(t, im.ImportFrom(ctx, req, func(ingest.FromEvent) {}), context.Canceled)
	require.Empty(t, l.read)

	// A table that was rolled back lacks the rows, whatever the ledger says.
	w.table("first").Rollback(1, "back")
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	l.n = 0
	require.ErrorIs(t, im.ImportFrom(ctx, req, func(ingest.FromEvent) {}), context.Canceled)
	require.Equal(t, []string{"slow.csv"}, l.read)
	w.holds("first", 100)
}

// TestImportWatchDone: with a marker for each file, the marker says when.
func TestImportWatchDone(t *testing.T) {
	t.Parallel()
	w, im := importing(t)
	dir := t.TempDir()
	put(t, dir, "one.csv", text(1, 10))
	put(t, dir, "two.csv", text(2, 10))
	put(t, dir, "one.csv.done", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := &looks{ImportPlace: ingest.Folder(dir), before: func(n int) {
		if n == 4 {
			cancel()
		}
	}}
	req := ingest.FromRequest{ImportRequest: ingest.ImportRequest{Project: "p", View: "first"}, Location: dir, Place: l, Watch: true, Interval: time.Millisecond,
		Selection: ingest.Selection{DoneSuffix: ".done"}, Spool: t.TempDir()}
	require.ErrorIs(t, im.ImportFrom(ctx, req, func(ingest.FromEvent) {}), context.Canceled)
	w.holds("first", 10)
}

// TestImportOfChangingFile: a file that is written to while it is read is
// refused; the rows of another content never count as this one's.
func TestImportOfChangingFile(t *testing.T) {
	t.Parallel()
	w, im := importing(t)
	dir := t.TempDir()
	put(t, dir, "rows.csv", text(1, 30_000))
	path := filepath.Join(dir, "rows.csv")
	req := ingest.FromRequest{ImportRequest: ingest.ImportRequest{Project: "p", View: "first"}, Location: dir, Place: ingest.Folder(dir), Spool: t.TempDir()}
	changed := false
	var got error
	require.NoError(t, im.ImportFrom(t.Context(), req, func(e ingest.FromEvent) {
		if e.Progress != nil && !changed {
			changed = true
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("more,1,1\n")
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		if e.Err != nil {
			got = e.Err
		}
	}))
	require.Equal(t, feature.Conflict, feature.KindOf(got))
	require.ErrorContains(t, got, "changed")
	require.Empty(t, w.table("first").Rows())

	// Announced as another content than what arrives.
	one := req.ImportRequest
	one.Path, one.Name, one.ID = path, "rows.csv", strings.Repeat("0", 32)
	_, err := im.Import(t.Context(), one, nil)
	require.Equal(t, feature.Conflict, feature.KindOf(err))

	// Replaced between the list and the reading of it.
	l := &looks{ImportPlace: ingest.Folder(dir), remote: true, before: func(int) {}}
	req.Place = replaced{l, path}
	require.NoError(t, im.ImportFrom(t.Context(), req, func(e ingest.FromEvent) { got = e.Err }))
	require.Equal(t, feature.Conflict, feature.KindOf(got))
	require.Empty(t, w.table("first").Rows())
}

// replaced is a place whose files are replaced after each list.
type replaced struct {
	*looks
	path string
}

func (r replaced) Files(ctx context.Context, f func(ingest.ImportFile) error) error {
	err := r.looks.Files(ctx, f)
	b, rerr := os.ReadFile(r.path)
	if rerr != nil {
		return rerr
	}
	if werr := os.WriteFile(r.path, bytes.Replace(b, []byte("k1,"), []byte("kk1,"), 1), 0o600); werr != nil {
		return werr
	}
	return err
}
