package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// salesWeir is a server with a view of 40 shops, a row each an hour apart, and a spine of n rows.
func salesWeir(t *testing.T, n int) (w *weir, spine string) {
	w = start(t, testConfig(t))
	return w, salesRows(w, n)
}

// salesRows is what salesWeir has, in a server that runs already.
func salesRows(w *weir, n int) (spine string) {
	t := w.t
	w.apply(salesManifest("{name: n, type: int64}, {name: y, type: string}", `"sales:n", "sales:y"`))
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	text := "id,at,n,y\n"
	for i := range 40 {
		text += fmt.Sprintf("s%02d,%s,%d,%s\n", i, begin.Add(time.Duration(i)*time.Hour).Format(time.RFC3339), i, []string{"a", "b"}[i%2])
	}
	w.run("import", "--view", "sales", fileOf(t, "sales.csv", text))
	var b strings.Builder
	b.WriteString("id,event_timestamp,label\n")
	for i := range n {
		fmt.Fprintf(&b, "s%02d,%s,%d\n", i%41, begin.Add(time.Duration(i%90)*time.Hour).Format(time.RFC3339), i%2)
	}
	return fileOf(t, "spine.csv", b.String())
}

// readAll is a file's rows as CSV lines.
func readAll(t *testing.T, path string) []string {
	t.Helper()
	r, err := tabular.Open(t.Context(), path, tabular.ReadOptions{})
	require.NoError(t, err)
	defer r.Close()
	var b bytes.Buffer
	w, err := tabular.NewWriter(&b, r.Schema(), tabular.CSV)
	require.NoError(t, err)
	for {
		rec, err := r.Read()
		if err != nil {
			break
		}
		require.NoError(t, w.Write(rec))
		rec.Release()
	}
	require.NoError(t, w.Close())
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// convert writes a file's rows to another, in the format of its name.
func convert(t *testing.T, from, to string) {
	t.Helper()
	r, err := tabular.Open(t.Context(), from, tabular.ReadOptions{})
	require.NoError(t, err)
	defer r.Close()
	w, err := tabular.Create(to, r.Schema(), tabular.WriteOptions{})
	require.NoError(t, err)
	for {
		rec, err := r.Read()
		if err != nil {
			break
		}
		require.NoError(t, w.Write(rec))
		rec.Release()
	}
	require.NoError(t, w.Close())
}

// TestSnapshotSpines: whatever a spine's format, the training set is the same.
func TestSnapshotSpines(t *testing.T) {
	w, spine := salesWeir(t, 500)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	plain, err := os.ReadFile(spine)
	require.NoError(t, err)
	packed := func(name string, text []byte) {
		var b bytes.Buffer
		if strings.HasSuffix(name, ".gz") {
			z := gzip.NewWriter(&b)
			_, _ = z.Write(text)
			require.NoError(t, z.Close())
		} else {
			z, err := zstd.NewWriter(&b)
			require.NoError(t, err)
			_, _ = z.Write(text)
			require.NoError(t, z.Close())
		}
		require.NoError(t, os.WriteFile(file(name), b.Bytes(), 0o600))
	}
	for _, name := range []string{"s.jsonl", "s.parquet", "s.arrow"} {
		convert(t, spine, file(name))
	}
	lines, err := os.ReadFile(file("s.jsonl"))
	require.NoError(t, err)
	packed("s.csv.gz", plain)
	packed("s.csv.zst", plain)
	packed("s.jsonl.gz", lines)
	packed("s.jsonl.zst", lines)
	fileForm(t, file("s.arrow"), file("file.arrow"))
	var whole strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(plain)), "\n") {
		if i > 0 {
			cells := strings.Split(line, ",")
			at, err := time.Parse(time.RFC3339, cells[1])
			require.NoError(t, err)
			cells[1] = fmt.Sprint(at.UnixMilli())
			line = strings.Join(cells, ",")
		}
		whole.WriteString(line + "\n")
	}
	require.NoError(t, os.WriteFile(file("whole.csv"), []byte(whole.String()), 0o600))

	var want []string
	for i, c := range []struct {
		spine string
		args  []string
	}{
		{spine, nil}, {file("s.csv.gz"), nil}, {file("s.csv.zst"), nil}, {file("s.jsonl"), nil}, {file("s.jsonl.gz"), nil}, {file("s.jsonl.zst"), nil},
		{file("s.parquet"), nil}, {file("s.arrow"), nil}, {file("file.arrow"), nil}, {file("whole.csv"), []string{"--time-unit", "ms"}},
	} {
		out := file(fmt.Sprint("out", i, []string{".csv", ".parquet", ".jsonl", ".arrow"}[i%4]))
		var made struct {
			ID   string `json:"id"`
			Rows int    `json:"rows"`
		}
		w.json(&made, append([]string{"snapshot", "create", "--service", "model", "--spine", c.spine, "--out", out}, c.args...)...)
		require.Equal(t, 500, made.Rows)
		w.run(append([]string{"snapshot", "verify", made.ID, "--spine", c.spine}, c.args...)...)
		got := readAll(t, out)
		if i == 0 {
			want = got
			require.Len(t, want, 501)
			require.Contains(t, strings.Join(want, "\n"), "\ns05,2026-01-01T05:00:00Z,1,5,b\n")
			require.Contains(t, strings.Join(want, "\n"), "\ns04,2026-01-02T21:00:00Z,1,4,a\n")
		}
		if c.args != nil { // its time column is a number
			for k := range got[1:] {
				got[1+k] = strings.Join(append([]string{""}, strings.Split(got[1+k], ",")[2:]...), ",")
				require.Equal(t, strings.Join(append([]string{""}, strings.Split(want[1+k], ",")[2:]...), ","), got[1+k])
			}
			continue
		}
		require.Equal(t, want, got, c.spine)
	}

	for _, name := range []string{"none.csv", "none.parquet"} {
		if name == "none.csv" {
			require.NoError(t, os.WriteFile(file(name), []byte("id,event_timestamp,label\n"), 0o600))
		} else {
			convert(t, file("none.csv"), file(name))
		}
		w.run("snapshot", "create", "--service", "model", "--spine", file(name), "--out", file("empty.parquet"), "--split", "train=50,test=50")
		require.Equal(t, []string{"id,event_timestamp,label,n,y,split"}, readAll(t, file("empty.parquet")))
	}
	code, _, errs := w.try("snapshot", "create", "--service", "model", "--spine", file("whole.csv"), "--out", file("x.csv"))
	require.Equal(t, 2, code)
	require.Contains(t, errs, "unit")
}

// fileForm writes an Arrow stream as an Arrow file.
func fileForm(t *testing.T, from, to string) {
	in, err := tabular.Open(t.Context(), from, tabular.ReadOptions{})
	require.NoError(t, err)
	defer in.Close()
	f, err := os.Create(to)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(in.Schema()))
	require.NoError(t, err)
	var rec arrow.RecordBatch
	for rec, err = in.Read(); err == nil; rec, err = in.Read() {
		require.NoError(t, w.Write(rec))
		rec.Release()
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// shown is what weir snapshot show -o json has.
type shown struct {
	ID    string `json:"id"`
	Rows  int64  `json:"rows"`
	Split *struct {
		Parts []struct {
			Name  string  `json:"name"`
			Share float64 `json:"share"`
			From  string  `json:"from"`
			Rows  int64   `json:"rows"`
		} `json:"parts"`
		By     []string `json:"by"`
		Seed   uint64   `json:"seed"`
		NoPart int64    `json:"no_part"`
	} `json:"split"`
	Tables []struct {
		Tag string `json:"tag"`
	} `json:"tables"`
	SpineHash string           `json:"spine_hash"`
	Profile   []map[string]any `json:"profile"`
}

func TestSnapshotSplits(t *testing.T) {
	w, spine := salesWeir(t, 400)
	dir := t.TempDir()
	whole := filepath.Join(dir, "set.csv")
	create := func(out string, args ...string) (s shown) {
		t.Helper()
		w.json(&s, append([]string{"snapshot", "create", "--service", "model", "--spine", spine, "--out", out}, args...)...)
		return s
	}
	made := create(whole, "--split", "train=60,validation=20,test=20", "--split-seed", "7")
	rows := readAll(t, whole)
	require.Equal(t, "id,event_timestamp,label,n,y,split", rows[0])
	where, counts := map[string]string{}, map[string]int64{}
	byPart := map[string][]string{}
	for _, r := range rows[1:] {
		id, part := r[:3], r[strings.LastIndexByte(r, ',')+1:]
		require.Contains(t, []string{"", part}, where[id])
		where[id] = part
		counts[part]++
		byPart[part] = append(byPart[part], r)
	}
	require.Len(t, counts, 3)
	for _, p := range made.Split.Parts {
		require.Equal(t, counts[p.Name], p.Rows)
	}
	require.Contains(t, w.run("snapshot", "verify", made.ID, "--spine", spine), "each value the same")
	require.Contains(t, w.run("snapshot", "verify", made.ID, "--spine", whole), "each value the same")
	var seen shown
	w.json(&seen, "snapshot", "show", made.ID)
	require.Equal(t, made.Split, seen.Split)
	require.Equal(t, made.SpineHash, seen.SpineHash)
	require.Len(t, seen.Profile, 2)
	require.EqualValues(t, 39, seen.Profile[0]["max"])
	text := w.run("snapshot", "show", made.ID)
	for _, part := range []string{"validation", "60 %", "seed 7", made.SpineHash, "median", "a ("} {
		require.Contains(t, text, part)
	}

	// The same split in files.
	each := filepath.Join(dir, "set-{split}.parquet")
	create(each, "--split", "train=60,validation=20,test=20", "--split-seed", "7")
	for part, want := range byPart {
		got := readAll(t, filepath.Join(dir, "set-"+part+".parquet"))
		require.Equal(t, want, got[1:], part)
	}
	require.NoFileExists(t, filepath.Join(dir, "set-none.parquet"))

	// By time, with rows that have none, and a part without rows.
	b, err := os.ReadFile(spine)
	require.NoError(t, err)
	spine = fileOf(t, "spine.csv", string(b)+"s01,,1\ns02,,0\n")
	timed := create(filepath.Join(dir, "t-{split}.csv"), "--split-at", "validation=2026-01-02,test=2026-01-04T00:00:00Z,late=2027-01-01")
	require.EqualValues(t, 2, timed.Split.NoPart)
	require.Equal(t, "2026-01-02T00:00:00Z", timed.Split.Parts[1].From)
	total := 0
	for part, bounds := range map[string][2]string{"train": {"2026-01-01", "2026-01-02"}, "validation": {"2026-01-02", "2026-01-04"}, "test": {"2026-01-04", "2027"}, "late": {"2027", "2028"}} {
		got := readAll(t, filepath.Join(dir, "t-"+part+".csv"))
		for _, r := range got[1:] {
			at := strings.Split(r, ",")[1]
			require.True(t, at >= bounds[0] && at < bounds[1], "%s: %s", part, r)
		}
		total += len(got) - 1
	}
	require.Equal(t, 400, total)
	require.Len(t, readAll(t, filepath.Join(dir, "t-none.csv")), 3)
	require.Contains(t, w.run("snapshot", "verify", timed.ID, "--spine", spine), "each value the same")

	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--split", "a=50,b=40"}, "add up to 90"},
		{[]string{"--split", "a=50,b"}, "NAME=PERCENT"},
		{[]string{"--split-at", "b=soon"}, "--split-at b soon"},
		{[]string{"--split", "a=50,b=50", "--split-at", "b=2026-01-01"}, "one of them"},
		{[]string{"--split-by", "label"}, "go with --split"},
		{[]string{"--split", "a=50,b=50", "--split-by", "labels"}, `"labels"`},
		{[]string{"--out", filepath.Join(dir, "x-{split}.csv")}, "no parts"},
	} {
		code, _, errs := w.try(append([]string{"snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(dir, "x.csv")}, c.args...)...)
		require.Equal(t, 2, code, c.args)
		require.Contains(t, errs, c.says)
	}
	var all []shown
	w.json(&all, "snapshot", "list", "--service", "model", "--limit", "2")
	require.Len(t, all, 2)
	require.Equal(t, timed.ID, all[0].ID)
	w.json(&all, "snapshot", "list", "--service", "other")
	require.Empty(t, all)
}

// watching is a monitor that compares with a snapshot.
func watching(name, snapshot string) string {
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Monitor
metadata: {name: %s}
spec:
  view: sales
  reference: {snapshot: %s}
  window: {size: month}
`, name, snapshot)
}

func TestSnapshotDelete(t *testing.T) {
	w, spine := salesWeir(t, 50)
	out := filepath.Join(t.TempDir(), "set.parquet")
	var one, two shown
	for _, s := range []*shown{&one, &two} {
		w.json(s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", out)
	}
	tags := func() string { return w.run("table", "log", "--view", "sales") }
	require.Contains(t, tags(), one.ID)
	require.Contains(t, tags(), two.ID)
	w.apply(watching("watching", one.ID))
	code, _, errs := w.try("snapshot", "delete", one.ID, "--yes")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "watching")
	require.Contains(t, w.run("snapshot", "verify", one.ID, "--spine", spine), "each value the same")
	code, _, errs = w.try("snapshot", "delete", two.ID)
	require.Equal(t, 2, code, "nobody said yes")
	require.Contains(t, errs, "--yes")
	require.Contains(t, tags(), two.ID)

	w.run("snapshot", "delete", two.ID, "--yes")
	require.NotContains(t, tags(), two.ID)
	require.Contains(t, tags(), one.ID)
	for _, args := range [][]string{{"delete", two.ID, "--yes"}, {"delete", two.ID}, {"show", two.ID}, {"verify", two.ID, "--spine", spine}} {
		code, _, errs = w.try(append([]string{"snapshot"}, args...)...)
		require.Equal(t, 2, code, args)
		require.Contains(t, errs, "does not exist", args)
	}
	code, out2, errs := w.try("apply", "-f", fileOf(t, "m.yaml", watching("late", two.ID)))
	require.Equal(t, 1, code, out2)
	require.Contains(t, errs, "there is no snapshot")

	// One whose tag somebody took away, and whose monitor is gone.
	code, _, errs = w.try("table", "untag", "--view", "sales", one.Tables[0].Tag)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "in use by monitor watching")
	w.run("delete", "monitor", "watching")
	w.run("table", "untag", "--view", "sales", one.Tables[0].Tag)
	var gone struct {
		Deleted  shown    `json:"deleted"`
		TagsLeft []string `json:"tags_left"`
	}
	w.json(&gone, "snapshot", "delete", one.ID, "-y")
	require.Equal(t, one.ID, gone.Deleted.ID)
	require.Empty(t, gone.TagsLeft)
	var all []json.RawMessage
	w.json(&all, "snapshot", "list")
	require.Empty(t, all)
}

// TestSnapshotRefused: what is asked for wrongly is refused with what, where and what
// to do, and where --out is the trouble, before anybody works for it.
func TestSnapshotRefused(t *testing.T) {
	w, spine := salesWeir(t, 10)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Mkdir(file("folder.csv"), 0o700))
	tags := w.run("table", "log", "--view", "sales")
	two := fileOf(t, "two.csv", "shop,when\na,2026-01-01\n")
	for _, c := range []struct{ args, says string }{
		{"--out " + file("none/x.csv"), "there is no folder " + file("none") + ": make it first"},
		{"--out " + file("{split}/x.csv") + " --split a=50,b=50", "there is no folder " + file("a") + ": make it first"},
		{"--out " + file("folder.csv"), "folder.csv: is a directory"},
		{"--out " + file("x.csv.gz"), "writing .gz files (write Parquet"},
		{"--out " + file("x.txt"), "does not tell its format"},
		{"--time-column label", `"label": is int64: a number needs a unit (say whether it counts s, ms, us or ns since 1970 (--time-unit`},
		{"--time-column when", "name it (--time-column, time_column); the spine has the columns id, event_timestamp, label"},
		{"--spine " + two, `spine column "id": is missing`},
		{"--spine " + two, `spine column "event_timestamp": the column of row times is missing`},
		{"--split-at train=2026-01-01", "what comes before the first time is called train"},
		{"--split a=100", "fewer than two parts (name at least two"},
		{"--split a=0,b=100", "weir: offline.split: part a: a share of 0 (give a percentage"},
		{"--version 99", "99"},
		{"--service modl", `did you mean "model"?`},
	} {
		code, _, errs := w.try(append([]string{"snapshot", "create", "--service", "model", "--spine", spine, "--out", file("x.csv")}, strings.Fields(c.args)...)...)
		require.Equal(t, 2, code, c.args)
		require.Contains(t, errs, c.says)
		if strings.HasPrefix(c.args, "--out") {
			code, _, errs = w.try(append([]string{"--server", "127.0.0.1:1", "snapshot", "create", "--service", "model", "--spine", spine}, strings.Fields(c.args)...)...)
			require.Equal(t, 2, code, c.args)
			require.Contains(t, errs, c.says, "nobody was asked")
		}
	}
	require.Equal(t, []string{"folder.csv"}, filesIn(t, dir))
	require.Equal(t, tags, w.run("table", "log", "--view", "sales"))

	// People read the first few tags of training sets.
	for range 5 {
		w.run("snapshot", "create", "--service", "model", "--spine", spine, "--out", file("x.csv"))
	}
	w.run("table", "tag", "--view", "sales", "mine")
	log := w.run("table", "log", "--view", "sales")
	require.Contains(t, log, "tag mine")
	require.Contains(t, log, "tags of 2 more training sets")
	require.Equal(t, 3, strings.Count(log, "tag weir-snapshot-"))
}

// TestTrainingGuide runs the commands that docs/training.md shows, on what the README made.
func TestTrainingGuide(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "training.md"))
	require.NoError(t, err)
	w := start(t, testConfig(t))
	t.Chdir(t.TempDir())
	for _, m := range readmeBlock.FindAllStringSubmatch(string(readme), -1) {
		if m[2] != "" {
			require.NoError(t, os.WriteFile(m[2], []byte(m[3]), 0o600))
		}
	}
	require.NoError(t, os.WriteFile("airports.csv", []byte("origin\nEWR\nLAX\n"), 0o600))
	w.run("apply", "-f", "weather.yaml")
	w.run("import", "--view", "airport_weather", "monday.jsonl")
	ran := map[string]int{}
	for _, m := range readmeBlock.FindAllStringSubmatch(string(guide), -1) {
		for line := range strings.Lines(m[3]) {
			cmd, _, _ := strings.Cut(line, " #")
			args := strings.Fields(cmd)
			if len(args) == 0 {
				continue
			}
			require.Equal(t, "bin/weir", args[0], line)
			var all []shown
			w.json(&all, "snapshot", "list")
			for i, a := range args {
				if a == "ID" {
					args[i] = all[0].ID
				}
			}
			w.run(args[1:]...)
			ran[args[1]+" "+args[2]]++
		}
	}
	require.Equal(t, map[string]int{"snapshot create": 3, "snapshot list": 1, "snapshot show": 1, "snapshot verify": 2, "snapshot delete": 1, "export --service": 3}, ran)

	require.Equal(t, []string{"origin,event_timestamp,delayed,temp,humid", "EWR,2026-01-05T06:30:00Z,false,39.0,59.4",
		"EWR,2026-01-05T07:30:00Z,true,41.2,57.1", "JFK,2026-01-05T05:00:00Z,false,,"}, readAll(t, "set.parquet"))
	rows := 0
	for _, part := range []string{"train", "validation", "test"} {
		rows += len(readAll(t, "set-"+part+".csv")) - 1
	}
	require.Equal(t, 3, rows)
	timed := readAll(t, "timed.csv")
	for i, part := range []string{"validation", "test", "train"} {
		require.True(t, strings.HasSuffix(timed[1+i], ","+part), timed)
	}
	require.Len(t, readAll(t, "now.parquet"), 3)
	require.Contains(t, readAll(t, "then.csv"), "EWR,2026-01-05T06:30:00Z,39.0,59.4")
	some := readAll(t, "some.csv")
	require.Regexp(t, `^EWR,.*,41\.2,57\.1$`, some[1])
	require.Regexp(t, `^LAX,.*,,$`, some[2])
}

// TestSnapshotStages: who waits for a training set hears what it comes to.
func TestSnapshotStages(t *testing.T) {
	w, spine := salesWeir(t, 50)
	arrowFile := filepath.Join(t.TempDir(), "spine.arrow")
	convert(t, spine, arrowFile)
	rows, err := os.ReadFile(arrowFile)
	require.NoError(t, err)
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	snapshots := weirv1.NewSnapshotServiceClient(conn)

	create, err := snapshots.Create(t.Context())
	require.NoError(t, err)
	require.NoError(t, create.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Header{Header: &weirv1.SnapshotHeader{Service: "model", SpineRows: 50}}}))
	require.NoError(t, create.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Spine{Spine: rows}}))
	require.NoError(t, create.CloseSend())
	var stages []string
	heard := func(p *weirv1.SnapshotProgress) {
		if p != nil && (len(stages) == 0 || stages[len(stages)-1] != p.Stage) {
			stages = append(stages, p.Stage)
		}
	}
	var id string
	for id == "" {
		m, err := create.Recv()
		require.NoError(t, err)
		heard(m.GetProgress())
		id = m.GetSnapshot().GetId()
	}
	require.Equal(t, []string{"reading the spine", "joining", "writing"}, stages)

	stages = nil
	verify, err := snapshots.Verify(t.Context())
	require.NoError(t, err)
	require.NoError(t, verify.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Header{Header: &weirv1.VerifySnapshotHeader{Id: id}}}))
	require.NoError(t, verify.Send(&weirv1.VerifySnapshotRequest{Part: &weirv1.VerifySnapshotRequest_Spine{Spine: rows}}))
	require.NoError(t, verify.CloseSend())
	for {
		m, err := verify.Recv()
		require.NoError(t, err)
		if m.Progress == nil {
			require.True(t, m.Equal)
			break
		}
		heard(m.Progress)
	}
	require.Equal(t, []string{"reading the spine", "joining", "writing"}, stages)
}
