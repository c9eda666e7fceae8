package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// peopleCSV is n rows of people, other ones for each seed.
func peopleCSV(seed, n int) string {
	var b strings.Builder
	b.WriteString("id,at,age\n")
	for i := range n {
		fmt.Fprintf(&b, "k%d,%s,%d\n", i%20, time.Date(2026, 1, seed, 0, 0, i, 0, time.UTC).Format(time.RFC3339), i%90)
	}
	return b.String()
}

// landed is one file of `weir import -o json`.
type landed struct {
	File            string           `json:"file"`
	Rows            int64            `json:"rows"`
	Quarantined     int64            `json:"quarantined"`
	AlreadyImported bool             `json:"already_imported"`
	Error           string           `json:"error"`
	Rules           map[string]int64 `json:"rules"`
	DryRun          bool             `json:"dry_run"`
}

func (w *weir) landed(code int, args ...string) (all []landed) {
	w.t.Helper()
	got, out, errs := w.try(append([]string{"import", "-o", "json"}, args...)...)
	require.Equal(w.t, code, got, "%s%s", out, errs)
	if out != "" {
		require.NoError(w.t, json.Unmarshal([]byte(out), &all), out)
	}
	for i := range all {
		all[i].File = filepath.Base(all[i].File)
	}
	return all
}

// TestImportFolder: a folder with compressed files and a bad one, dry and then in
// earnest; a file that fails does not stop the others, and the exit code says so.
func TestImportFolder(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	dir := t.TempDir()
	var z bytes.Buffer
	gz := gzip.NewWriter(&z)
	_, err := io.WriteString(gz, peopleCSV(1, 100))
	require.NoError(t, err)
	require.NoError(t, gz.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "1.csv.gz"), z.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2.csv"), []byte(peopleCSV(2, 50)+"x,2026-01-02T00:00:00Z,old\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "3.parquet"), []byte("PAR1 and then nothing"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "4.tsv"), []byte(strings.ReplaceAll(peopleCSV(4, 10), ",", "\t")), 0o600))

	dry := w.landed(1, "--view", "people", "--dry-run", dir)
	require.Len(t, dry, 4)
	require.Zero(t, w.status("default", "people").Rows)
	require.Empty(t, w.held("default", "people").Entries)
	got := w.landed(1, "--view", "people", dir)
	require.Len(t, got, 4)
	for i := range got {
		require.Equal(t, dry[i].Rows, got[i].Rows)
		require.Equal(t, dry[i].Rules, got[i].Rules)
		require.Equal(t, i != 2, dry[i].DryRun)
	}
	require.EqualValues(t, []int64{100, 50, 0, 10}, []int64{got[0].Rows, got[1].Rows, got[2].Rows, got[3].Rows})
	require.EqualValues(t, 1, got[1].Quarantined)
	require.Contains(t, got[2].Error, "Parquet")
	require.EqualValues(t, 160, w.status("default", "people").Rows)
	for _, again := range w.landed(1, "--view", "people", dir) {
		require.Equal(t, again.Error == "", again.AlreadyImported)
	}
	require.EqualValues(t, 160, w.status("default", "people").Rows)

	code, _, errs := w.try("import", "--view", "people", t.TempDir())
	require.Equal(t, 2, code)
	require.Contains(t, errs, "no file to import")
	code, _, errs = w.try("import", "--view", "people", "--watch", dir)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--on-server")
}

// TestImportUploadGoesOn: an upload that broke off goes on where it was, and what
// the server has is not sent again.
func TestImportUploadGoesOn(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	cl := weirv1.NewIngestServiceClient(conn)
	content := []byte(peopleCSV(3, 5000))
	sum := sha256.Sum256(content)
	begin := func(ctx context.Context, name string) (weirv1.IngestService_ImportClient, *weirv1.ImportOffer) {
		s, err := cl.Import(ctx)
		require.NoError(t, err)
		require.NoError(t, s.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Header{Header: &weirv1.ImportHeader{View: "people", FileName: name,
			Size: int64(len(content)), ContentHash: hex.EncodeToString(sum[:])}}}))
		m, err := s.Recv()
		require.NoError(t, err)
		return s, m.GetOffer()
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, offer := begin(ctx, "a.csv")
	require.Zero(t, offer.From)
	const sent = 70_000
	require.NoError(t, s.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Data{Data: content[:sent]}}))
	spooled := filepath.Join(w.cfg.DataDir, "incoming", "import-"+hex.EncodeToString(sum[:])+".csv")
	w.eventually(func() bool { st, err := os.Stat(spooled); return err == nil && st.Size() == sent }, "what was sent is on disk")
	cancel()

	s, offer = begin(t.Context(), "a.csv")
	require.EqualValues(t, sent, offer.From)
	require.NoError(t, s.Send(&weirv1.ImportRequest{Part: &weirv1.ImportRequest_Data{Data: content[sent:]}}))
	require.NoError(t, s.CloseSend())
	var res *weirv1.ImportResult
	for res == nil {
		m, err := s.Recv()
		require.NoError(t, err)
		res = m.GetResult()
	}
	require.EqualValues(t, 5000, res.Rows)
	require.NoFileExists(t, spooled)

	s, offer = begin(t.Context(), "of another name.csv")
	require.True(t, offer.Have)
	m, err := s.Recv()
	require.NoError(t, err)
	require.True(t, m.GetResult().AlreadyImported)
	require.EqualValues(t, 5000, w.status("default", "people").Rows)
}

// TestImportOnServer: the server reads what it is allowed to, and nothing else.
func TestImportOnServer(t *testing.T) {
	c := testConfig(t)
	allowed, other := t.TempDir(), t.TempDir()
	c.Ingest.ImportFolders = []string{allowed}
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	require.NoError(t, os.MkdirAll(filepath.Join(allowed, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(allowed, "sub", "1.csv"), []byte(peopleCSV(1, 10)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(other, "2.csv"), []byte(peopleCSV(2, 10)), 0o600))
	require.NoError(t, os.Symlink(other, filepath.Join(allowed, "out")))
	require.EqualValues(t, 10, w.landed(0, "--view", "people", "--on-server", allowed)[0].Rows)
	require.True(t, w.landed(0, "--view", "people", "--on-server", filepath.Join(allowed, "sub", "1.csv"))[0].AlreadyImported)
	for _, place := range []string{other, filepath.Join(allowed, "out"), filepath.Join(allowed, "..", filepath.Base(other)), allowed + "x", "/etc/passwd"} {
		code, _, errs := w.try("import", "--view", "people", "--on-server", place)
		require.Equal(t, 2, code, place)
		require.Contains(t, errs, "import_folders", place)
	}
	require.EqualValues(t, 10, w.status("default", "people").Rows)
}

// TestImportFromBucket: objects of a bucket, below a prefix or one alone.
func TestImportFromBucket(t *testing.T) {
	s3 := testserver.S3(t)
	c := testConfig(t)
	c.S3.Endpoint, c.S3.Region, c.S3.AccessKeyID, c.S3.SecretAccessKey = s3.Endpoint, s3.Region, s3.AccessKey, secret.Text(s3.Secret)
	b, err := objects.Open(t.Context(), s3.URL()+"/landing", c.S3)
	require.NoError(t, err)
	require.NoError(t, b.Put(t.Context(), "day=1/a.csv", []byte(peopleCSV(1, 30))))
	require.NoError(t, b.Put(t.Context(), "day=2/b.csv", []byte(peopleCSV(2, 40))))
	require.NoError(t, b.Put(t.Context(), "day=2/_SUCCESS", nil))
	require.NoError(t, b.Put(t.Context(), "day=2/same.csv", []byte(peopleCSV(1, 30))))
	require.NoError(t, b.Put(t.Context(), "day=3/torn.parquet", []byte("PAR1 and then nothing")))
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	got := w.landed(0, "--view", "people", s3.URL()+"/landing/day=1/a.csv")
	require.EqualValues(t, 30, got[0].Rows)
	got = w.landed(1, "--view", "people", s3.URL()+"/landing/")
	require.Len(t, got, 4)
	require.True(t, got[0].AlreadyImported)
	require.EqualValues(t, 40, got[1].Rows)
	require.True(t, got[2].AlreadyImported)
	require.NotEmpty(t, got[3].Error)
	require.EqualValues(t, 70, w.status("default", "people").Rows)
	left, err := os.ReadDir(filepath.Join(w.cfg.DataDir, "incoming"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestImportInfer: definitions from a look at the files, only when agreed to.
func TestImportInfer(t *testing.T) {
	w := start(t, testConfig(t))
	csv := fileOf(t, "orders.csv", "order_id,Customer Name,amount,placed,note\n1,Ann,1.5,2026-01-02 03:04:05,\n2,Ben,2,2026-01-02 04:04:05,\n3,Cem,x,2026-01-02 05:04:05,\n")
	code, _, errs := w.try("import", "--view", "orders", "--infer", csv)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--key")
	code, _, errs = w.try("import", "--view", "orders", "--infer", "--key", "order_id", csv)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "placed hold")
	code, out, errs := w.try("import", "--view", "orders", "--infer", "--key", "order_id", "--time", "placed", csv)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--yes")
	for _, said := range []string{"format: naive", "name: customer_name, type: string, path: \"Customer Name\"", "name: amount, type: string", "3 rows", "note has no value"} {
		require.Contains(t, out, said)
	}
	code, _, _ = w.try("describe", "view", "orders")
	require.NotZero(t, code)
	got := w.landed2(t, "import", "--view", "orders", "--infer", "--key", "order_id", "--time", "placed", "--yes", csv)
	require.EqualValues(t, 3, got[0].Rows)
	require.EqualValues(t, 3, w.status("default", "orders").Rows)
	// The view is there now, and its types hold.
	more := fileOf(t, "more.csv", "order_id,Customer Name,amount,placed\nfour,Dan,4,2026-01-02 06:04:05\n5,Eve,5,2026-01-02 07:04:05\n")
	got = w.landed2(t, "import", "--view", "orders", "--infer", "--key", "order_id", "--time", "placed", "--yes", more)
	require.EqualValues(t, 1, got[0].Rows)
	require.EqualValues(t, 1, got[0].Quarantined)
}

func (w *weir) landed2(t *testing.T, args ...string) (all []landed) {
	t.Helper()
	w.json(&all, args...)
	return all
}
