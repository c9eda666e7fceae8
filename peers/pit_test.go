//go:build peers

package peers

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestPointInTime compares the join with DuckDB, value for value, in random worlds
// (offline/jointest). DuckDB is asked by SQL that was written from the definition, in
// two ways, over raw facts that this test writes itself; our side joins tables of
// many small files, on every fifth world of Iceberg. WEIR_TEST_SEED=N repeats one, WEIR_CASES sets how many.
func TestPointInTime(t *testing.T) {
	cases, tried := 200, 0
	if s := os.Getenv("WEIR_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
	}
	d := &pit{e: startPIT(t), dir: t.TempDir()}
	for seed := range testseed.Each(t, cases) {
		tried++
		w := jointest.Random(rand.New(rand.NewPCG(seed, 1)), jointest.Usual())
		d.iceberg = seed%5 == 0
		if d.iceberg {
			for v := range w.Views {
				for f := range w.Views[v].Files {
					w.Views[v].Files[f].Bounds = true // a table in days takes no file without
				}
			}
		}
		err := d.check(w)
		if err == nil {
			continue
		}
		small := jointest.Shrink(w, func(w *jointest.World) bool { return d.check(w) != nil })
		t.Fatalf("%v\n\nThe smallest world that fails:\n%v\n%v", err, small, d.check(small))
	}
	t.Logf("%d values, %d of them null", d.values, d.nulls)
	if tried >= 200 {
		require.Greater(t, d.values-d.nulls, 5_000, "hardly any row finds a value")
	}
}

// pit is DuckDB as it joins.
type pit struct {
	e             *engine
	dir           string
	iceberg       bool
	tables, asked int
	values, nulls int
}

func startPIT(t testing.TB) *engine {
	cmd := exec.Command(python(t), "engines/pit.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	e := &engine{t: t, name: "duckdb", in: in, out: bufio.NewReaderSize(out, 1<<20), errs: &tail{}}
	cmd.Stderr = e.errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Logf("duckdb %v", e.answer())
	return e
}

type pitCase struct {
	Clock feature.Clock `json:"clock"`
	Spine string        `json:"spine"`
	At    string        `json:"at"`
	Views []pitView     `json:"views"`
}

type pitView struct {
	Facts    string            `json:"facts"`
	TTL      int64             `json:"ttl"`
	Keys     map[string]string `json:"keys"`
	Features []pitFeature      `json:"features"`
	Event    string            `json:"event"`
	Known    string            `json:"known"`
	Ties     []string          `json:"ties"`
	Dead     string            `json:"dead,omitempty"`
	Number   string            `json:"number,omitempty"`
}

type pitFeature struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ask has DuckDB join.
func (d *pit) ask(c pitCase) ([][]string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if _, err := d.e.in.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	line, err := d.e.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, d.e.errs)
	}
	var a struct {
		OK    [][]string
		Error string
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, err
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	return a.OK, nil
}

// check compares one world's join with DuckDB's.
func (d *pit) check(w *jointest.World) error {
	var got [][]string
	o := jointest.Options{Got: func(row []any) {
		texts := make([]string, 0, len(row))
		for _, x := range row[w.SpineSchema().NumFields():] {
			texts = append(texts, valueText(x))
			d.values++
			if x == nil {
				d.nulls++
			}
		}
		got = append(got, texts)
	}}
	if d.iceberg {
		o.Store = func() (offline.Store, func(), error) {
			d.tables++
			at := filepath.Join(d.dir, strconv.Itoa(d.tables))
			if err := os.MkdirAll(at, 0o700); err != nil {
				return nil, nil, err
			}
			s, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(at, "tables.db"), filepath.Join(at, "warehouse"), slog.New(slog.DiscardHandler))
			return s, func() {
				_ = s.Close()
				_ = os.RemoveAll(at)
			}, err
		}
	}
	if err := w.Check(ctx, o); err != nil {
		return fmt.Errorf("not as the oracle says: %w", err)
	}
	if len(w.Spine) == 0 {
		return nil
	}
	d.asked++ // DuckDB remembers files by name
	dir := filepath.Join(d.dir, fmt.Sprint("facts", d.asked))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c := pitCase{Clock: w.Clock, Spine: filepath.Join(dir, "spine.parquet"), At: jointest.TimeColumn}
	if err := writeParquet(c.Spine, w.SpineSchema(), w.SpineBatches()); err != nil {
		return err
	}
	for i := range w.Views {
		v := &w.Views[i]
		x := pitView{Facts: filepath.Join(dir, v.Name+".parquet"), TTL: v.TTL, Keys: map[string]string{}, Event: "happened", Known: "learnt", Ties: []string{"part", "place"}, Dead: "dead", Number: "n"}
		for _, k := range v.Keys {
			x.Keys[k.Name] = "key_" + k.Name
		}
		for _, f := range v.Features {
			x.Features = append(x.Features, pitFeature{f.Name, f.Type.String()})
		}
		if err := writeFacts(x.Facts, v); err != nil {
			return err
		}
		c.Views = append(c.Views, x)
	}
	want, err := d.ask(c)
	if err != nil {
		return fmt.Errorf("duckdb: %w", err)
	}
	if len(want) != len(got) {
		return fmt.Errorf("%d rows, duckdb has %d", len(got), len(want))
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			return fmt.Errorf("spine row %d (%v at %v): got %v, duckdb has %v", i, w.Spine[i].Keys, w.Spine[i].Time, got[i], want[i])
		}
	}
	return nil
}

// valueText is engines/values.py's text of a value; timestamps are their microseconds.
func valueText(x any) string {
	switch x := x.(type) {
	case nil:
		return "null"
	case float32:
		return valueText(float64(x))
	case float64:
		if math.IsNaN(x) {
			return "nan"
		}
		return fmt.Sprintf("%016x", math.Float64bits(x))
	case string:
		return `"` + x + `"`
	case []byte:
		return "x" + hex.EncodeToString(x)
	case []any:
		texts := make([]string, len(x))
		for i, e := range x {
			texts[i] = valueText(e)
		}
		return "[" + strings.Join(texts, ",") + "]"
	}
	return fmt.Sprint(x)
}

// writeFacts writes raw rows: none of our columns, none of our code.
func writeFacts(path string, v *jointest.View) error {
	var fields []arrow.Field
	for _, k := range v.Keys {
		fields = append(fields, arrow.Field{Name: "key_" + k.Name, Type: k.Type.Arrow()})
	}
	for _, f := range v.Features {
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type.Exchange(), Nullable: true})
	}
	at := &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	fields = append(fields, arrow.Field{Name: "happened", Type: at}, arrow.Field{Name: "learnt", Type: at},
		arrow.Field{Name: "part", Type: arrow.PrimitiveTypes.Int32}, arrow.Field{Name: "place", Type: arrow.PrimitiveTypes.Int64},
		arrow.Field{Name: "dead", Type: arrow.FixedWidthTypes.Boolean}, arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64})
	schema := arrow.NewSchema(fields, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	for n, f := range v.Facts {
		row := slices.Concat(f.Keys, f.Values, []any{f.Event, f.Known, f.Partition, f.Offset, f.Dead, int64(n)})
		for i, x := range row {
			jointest.AppendValue(rb.Field(i), x)
		}
	}
	return writeParquet(path, schema, []arrow.RecordBatch{rb.NewRecordBatch()})
}

func writeParquet(path string, schema *arrow.Schema, recs []arrow.RecordBatch) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	for _, r := range recs {
		if err := w.WriteBuffered(r); err != nil {
			return err
		}
	}
	return w.Close()
}
