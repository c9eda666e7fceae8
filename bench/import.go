package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/internal/testserver/native"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

const (
	importRows    = 10_000_000
	parquetTarget = 600_000 // rows/CPU-s, client and server
	csvTarget     = 300_000
	importMemory  = 512 // MiB
)

// measureImport brings ten million payments in from one file, as Parquet and as
// CSV, through schema, ten expectations, sort, staging and commit.
func measureImport(ctx context.Context, r *run) error {
	for _, f := range []struct {
		name         string
		target, read float64
	}{{"payments.parquet", parquetTarget, 2_500_000}, {"payments.csv", csvTarget, 600_000}} {
		path := filepath.Join(r.dir, f.name)
		if err := writePayments(path, importRows); err != nil {
			return err
		}
		rows := importRows / 5
		alone, err := rate(func(n int) error { return readPayments(ctx, path, n) }, rows, 3)
		if err != nil {
			return err
		}
		r.add(Line{What: "reading " + f.name + ": schema + ten expectations, no sinks", Value: alone.middle, Unit: "rows/CPU-s", Target: f.read, AtLeast: true,
			CPU: 1 / alone.middle, CPUUnit: "row", Note: "best round " + number(alone.best)})
		got, err := r.importFile(ctx, f.name, path, "", nil)
		if err != nil {
			return err
		}
		l := got.line("weir import of "+f.name+", 10M rows, client and server", "view not online; "+got.size)
		l.Target, l.AtLeast = f.target, true
		if l.Value < l.Target || r.profiles != "" {
			profile := filepath.Join(r.dir, "import-"+filepath.Ext(f.name)[1:]+".prof")
			if _, err := r.importFile(ctx, f.name+"-profiled", path, profile, nil); err != nil {
				return err
			}
			l.Profile = top(ctx, profile)
		}
		r.add(l)
		r.add(Line{What: "the same: the server's peak memory", Value: float64(got.memory) / (1 << 20), Unit: "MiB", Target: importMemory})
	}
	redis, err := r.redis(ctx, "import")
	if redis == nil || err != nil {
		return err
	}
	defer redis.Stop()
	got, err := r.importFile(ctx, "online", filepath.Join(r.dir, "payments.parquet"), "", redis)
	if err != nil {
		return err
	}
	r.add(got.line("weir import of payments.parquet, and to a real Redis", "view online; 100,000 customers"))
	return nil
}

// importedFile is one import.
type importedFile struct {
	flowed
	memory int64
	size   string
}

func (i importedFile) line(what, note string) Line {
	l := i.flowed.line(what, note)
	l.Unit, l.CPUUnit = "rows/CPU-s", "row"
	return l
}

// importFile starts a server, puts the view in force and has `weir import` bring the file in.
func (r *run) importFile(ctx context.Context, name, path, profile string, redis *native.Redis) (got importedFile, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return got, err
	}
	got.size = fmt.Sprintf("%d MiB", st.Size()>>20)
	var settings []string
	if redis != nil {
		settings = append(settings, "redis.addrs="+redis.Addr)
	}
	p, err := r.up(ctx, filepath.Join(r.dir, "import-"+name), profile, settings...)
	if err != nil {
		return got, err
	}
	defer func() {
		if serr := p.stop(); err == nil {
			err = serr
		}
		_ = os.RemoveAll(filepath.Join(r.dir, "import-"+name))
	}()
	manifests, err := paymentsManifests("payments", "payment", redis != nil)
	if err != nil {
		return got, err
	}
	if err := p.apply(ctx, manifests); err != nil {
		return got, err
	}
	cmd := exec.CommandContext(ctx, r.binary, "import", "--server", p.grpc, "--view", "payment", "-o", "json", path)
	cmd.Dir = r.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began, from := time.Now(), p.usedCPU()
	if err := cmd.Run(); err != nil {
		return got, fmt.Errorf("weir import: %w\n%s\n%s", err, errs.Bytes(), p.logs)
	}
	client := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	got.flowed = flowed{events: importRows, seconds: time.Since(began).Seconds(), cpu: p.usedCPU() - from + client}
	got.memory = p.peakMemory()
	var files []struct {
		Rows        int64 `json:"rows"`
		Quarantined int64 `json:"quarantined"`
	}
	if err := json.Unmarshal(out.Bytes(), &files); err != nil {
		return got, err
	}
	if len(files) != 1 || files[0].Rows != importRows || files[0].Quarantined != 0 {
		return got, fmt.Errorf("weir import of %d rows: %s", importRows, out.Bytes())
	}
	return got, nil
}

// readPayments takes rows of the file through what an import does before its sinks.
func readPayments(ctx context.Context, path string, rows int) error {
	source, view := decodetest.Source(), decodetest.View()
	definition, err := tenSuite()
	if err != nil {
		return err
	}
	suite, faults := expect.Compile(definition, view.Schema())
	if len(faults) > 0 {
		return feature.JoinFaults(faults)
	}
	types := tabular.SchemaTypes(source.Schema)
	for _, c := range view.Columns() {
		if _, ok := types[c.EventPath()]; !ok {
			types[c.EventPath()] = c.Type
		}
	}
	file, ok, err := tabular.OpenColumns(ctx, path, tabular.RowOptions{Types: types, Times: map[string]string{"ts": "rfc3339"}})
	if err != nil || !ok {
		return fmt.Errorf("%s does not come as columns: %w", path, err)
	}
	defer file.Close()
	cols, ok, err := decode.NewColumns(source, view, decode.Options{Import: true}, file.Names, file.Types)
	if err != nil || !ok {
		return fmt.Errorf("%s does not come as columns: %w", path, err)
	}
	var verdict validate.Verdict
	for n := 0; n < rows; {
		c, err := file.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%d rows of %d", n, rows)
		}
		if err != nil {
			return err
		}
		n += c.Len()
		res := cols.Decode(&decode.Table{First: c.First, Timestamp: time.Now().UnixMicro(), Values: c.Values, Long: c.Long, Doubt: c.Doubt, JSON: c.JSON}, feature.Origin{Topic: "file"})
		if err := suite.Check(res.Batch, &verdict); err != nil {
			return err
		}
		if len(res.Rejected) > 0 || validate.Filter(res.Batch, &verdict) != res.Batch {
			return fmt.Errorf("rows were held back: %v %v", res.Rejected, verdict.Rejected())
		}
		res.Batch.Rows.Release()
		c.Release()
	}
	return nil
}

// writePayments makes a file of the events that the other measurements use.
func writePayments(path string, rows int) error {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "event_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "customer_id", Type: arrow.BinaryTypes.String},
		{Name: "ts", Type: feature.Timestamp.Arrow()}, {Name: "amount", Type: arrow.PrimitiveTypes.Float64}, {Name: "items", Type: arrow.PrimitiveTypes.Int32},
		{Name: "currency", Type: arrow.BinaryTypes.String}, {Name: "channel", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "country", Type: arrow.BinaryTypes.String}, {Name: "risk", Type: arrow.PrimitiveTypes.Float32}, {Name: "returning", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "device", Type: arrow.BinaryTypes.String},
	}, nil)
	w, err := tabular.Create(path, schema, tabular.WriteOptions{})
	if err != nil {
		return err
	}
	defer w.Abort()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	rng := rand.New(rand.NewPCG(5, 6))
	var event []byte
	for i := range rows {
		event = decodetest.AppendEvent(event[:0], i, rng)
		var e struct {
			ID        int64     `json:"event_id"`
			Customer  string    `json:"customer_id"`
			TS        time.Time `json:"ts"`
			Amount    float64   `json:"amount"`
			Items     int32     `json:"items"`
			Currency  string    `json:"currency"`
			Channel   *string   `json:"channel"`
			Country   string    `json:"country"`
			Risk      float32   `json:"risk"`
			Returning bool      `json:"returning"`
			Device    string    `json:"device"`
		}
		if err := json.Unmarshal(event, &e); err != nil {
			return err
		}
		b.Field(0).(*array.Int64Builder).Append(e.ID)
		b.Field(1).(*array.StringBuilder).Append(e.Customer)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(e.TS.UnixMicro()))
		b.Field(3).(*array.Float64Builder).Append(e.Amount)
		b.Field(4).(*array.Int32Builder).Append(e.Items)
		b.Field(5).(*array.StringBuilder).Append(e.Currency)
		if e.Channel == nil {
			b.Field(6).AppendNull()
		} else {
			b.Field(6).(*array.StringBuilder).Append(*e.Channel)
		}
		b.Field(7).(*array.StringBuilder).Append(e.Country)
		b.Field(8).(*array.Float32Builder).Append(e.Risk)
		b.Field(9).(*array.BooleanBuilder).Append(e.Returning)
		b.Field(10).(*array.StringBuilder).Append(e.Device)
		if (i+1)%65536 == 0 || i+1 == rows {
			rec := b.NewRecordBatch()
			err := w.Write(rec)
			rec.Release()
			if err != nil {
				return fmt.Errorf("row %s: %w", strconv.Itoa(i), err)
			}
		}
	}
	return w.Close()
}
