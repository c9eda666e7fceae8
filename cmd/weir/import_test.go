package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
)

// imported is one file of `weir import -o json`.
type imported struct {
	Rows            int64 `json:"rows"`
	Quarantined     int64 `json:"quarantined"`
	AlreadyImported bool  `json:"already_imported"`
}

func (w *weir) importFile(path string) imported {
	w.t.Helper()
	var all []imported
	w.json(&all, "import", "--view", "people", path)
	require.Len(w.t, all, 1)
	return all[0]
}

func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(f, []byte(text), 0o600))
	return f
}

// TestImportFiles imports what people have: empty files, files with nothing but
// a header, broken lines, Parquet, the same content again.
func TestImportFiles(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

	require.Zero(t, w.importFile(fileOf(t, "header.csv", "id,at,age\n")).Rows)
	require.Zero(t, w.importFile(fileOf(t, "empty.jsonl", "")).Rows)
	code, _, errs := w.try("import", "--view", "people", fileOf(t, "empty.csv", ""))
	if code != 0 {
		require.Contains(t, errs, "empty")
	}

	csv := fileOf(t, "good.csv", "id,at,age,score\na,"+at.Format(time.RFC3339)+",1,0.5\nb,"+at.Format(time.RFC3339)+",,\n")
	require.Equal(t, imported{Rows: 2}, w.importFile(csv))
	require.Equal(t, imported{AlreadyImported: true}, w.importFile(csv))

	lines := fmt.Sprintf(`{"id":"c","at":%[1]q,"age":3}
{"id":"d","at":%[1]q,"age":
not json at all
{"id":"e","at":%[1]q,"age":"ten"}

{"id":"f","at":%[1]q,"age":6}
`, at.Format(time.RFC3339))
	require.Equal(t, imported{Rows: 2, Quarantined: 3}, w.importFile(fileOf(t, "broken.jsonl", lines)))
	age, status := w.lookupAge("default", "f")
	require.Equal(t, "PRESENT", status)
	require.EqualValues(t, 6, age)

	broken := "id,at,age\ng," + at.Format(time.RFC3339) + ",7\nh," + at.Format(time.RFC3339) + ",8,9,10\ni\n\"j," + at.Format(time.RFC3339) + ",9\n"
	got := w.importFile(fileOf(t, "broken.csv", broken))
	require.EqualValues(t, 1, got.Rows)
	require.GreaterOrEqual(t, got.Quarantined, int64(2))

	type row struct {
		ID    string    `parquet:"id"`
		At    time.Time `parquet:"at,timestamp(microsecond)"`
		Age   *int64    `parquet:"age,optional"`
		Score float64   `parquet:"score"`
	}
	nine := int64(9)
	pq := filepath.Join(t.TempDir(), "people.parquet")
	require.NoError(t, parquet.WriteFile(pq, []row{{"k", at, &nine, 1.5}, {"l", at, nil, 2.5}}))
	require.Equal(t, imported{Rows: 2}, w.importFile(pq))
	age, _ = w.lookupAge("default", "k")
	require.EqualValues(t, 9, age)

	code, _, errs = w.try("import", "--view", "people", fileOf(t, "torn.parquet", "PAR1 and then nothing"))
	require.Equal(t, 2, code)
	require.Contains(t, errs, "torn.parquet")
	code, _, errs = w.try("import", "--view", "nobody", csv)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "nobody")
	code, _, errs = w.try("import", "--view", "people", fileOf(t, "people.xls", "x"))
	require.Equal(t, 2, code)
	require.Contains(t, errs, "xls")
}

// TestImportBesideTheStream: files come in while the view reads its topic, two
// of them with the same content at once; each event and each row counts once.
func TestImportBesideTheStream(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	cl := kafkaClient(t, w.app.KafkaAddr())
	at := time.Now().UTC().Add(-time.Hour)
	var text strings.Builder
	for i := range 20_000 {
		b, err := json.Marshal(map[string]any{"id": fmt.Sprintf("f%d", i%50), "at": at.Add(time.Duration(i) * time.Millisecond), "age": i})
		require.NoError(t, err)
		text.Write(append(b, '\n'))
	}
	one, two := fileOf(t, "one.jsonl", text.String()), fileOf(t, "two.jsonl", text.String())
	other := fileOf(t, "other.jsonl", text.String()+"\n{\n")
	stop := make(chan struct{})
	sent := 0
	var stream sync.WaitGroup
	stream.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			send(t, cl, person("people", "s", time.Now(), sent))
			sent++
		}
	})
	var files sync.WaitGroup
	results := make([]imported, 3)
	for i, f := range []string{one, two, other} {
		files.Go(func() { results[i] = w.importFile(f) })
	}
	files.Wait()
	close(stop)
	stream.Wait()
	require.EqualValues(t, 20_000, results[0].Rows+results[1].Rows)
	require.True(t, results[0].AlreadyImported != results[1].AlreadyImported)
	require.Equal(t, imported{Rows: 20_000, Quarantined: 1}, results[2])
	st := w.arrived("default", "people", int64(sent))
	require.EqualValues(t, 40_000+sent, st.Rows)
	age, _ := w.lookupAge("default", "s")
	require.EqualValues(t, sent-1, age)
}
