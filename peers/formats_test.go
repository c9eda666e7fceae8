//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/schemaregistry"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestFormats: random events of random Avro schemas and of the messages of a .proto file, as
// Confluent's serializers write them with fastavro and protobuf, are read as what was
// written. (Weir itself writes neither format: there is no way back to test.)
func TestFormats(t *testing.T) {
	seed, events := testseed.For(t), 600
	cmd := exec.Command(pythonOf(t, "formats"), "formats/client.py", fmt.Sprint(seed), fmt.Sprint(events))
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var errs tail
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &errs)

	fake := srfake.New()
	defer fake.Close()
	config := schemaregistry.DefaultConfig()
	config.URLs = []string{fake.URL()}
	registry, err := schemaregistry.Open(config)
	require.NoError(t, err)
	formats := map[string]*format.Format{}
	for _, name := range []string{feature.FormatAvro, feature.FormatProtobuf} {
		formats[name], err = format.New(registry, 1<<20).Of(&feature.Source{Format: name, SchemaRegistry: &feature.SchemaRegistry{Subject: "events"}})
		require.NoError(t, err)
	}
	read, versions := map[string]int{}, 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l struct {
			Format, Schema, Payload, Event string
			ID                             int
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		if l.Schema != "" {
			s := sr.Schema{Schema: l.Schema}
			if l.Format == feature.FormatProtobuf {
				s.Type = sr.TypeProtobuf
			}
			versions++
			fake.SeedSchema("events", versions, l.ID, s)
			continue
		}
		payload, err := hex.DecodeString(l.Payload)
		require.NoError(t, err)
		f := formats[l.Format]
		if id, missing := f.Missing(payload); missing {
			require.NoError(t, f.Load(t.Context(), id))
		}
		got, err := f.AppendJSON(nil, payload)
		require.NoError(t, err, "%s %s\n%s", l.Format, l.Payload, l.Event)
		if why := unequal("", decoded(t, got), decoded(t, []byte(l.Event))); why != "" {
			t.Fatalf("%s %s: %s\ngot  %s\nwant %s", l.Format, l.Payload, why, got, l.Event)
		}
		read[l.Format]++
	}
	require.NoError(t, lines.Err())
	require.Equal(t, map[string]int{feature.FormatAvro: events, feature.FormatProtobuf: events}, read)
}

func decoded(t testing.TB, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	require.NoError(t, d.Decode(&v), "%s", b)
	return v
}

// unequal says where two events differ; "" where they are equal. Numbers are compared
// exactly, times as moments.
func unequal(at string, got, want any) string {
	differ := fmt.Sprintf("%s is %v, not %v", at, got, want)
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return differ
		}
		for k, v := range w {
			x, ok := g[k]
			if !ok {
				return at + "." + k + " is missing"
			}
			if why := unequal(at+"."+k, x, v); why != "" {
				return why
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differ
		}
		for i := range w {
			if why := unequal(fmt.Sprintf("%s[%d]", at, i), g[i], w[i]); why != "" {
				return why
			}
		}
		return ""
	case json.Number:
		g, ok := got.(json.Number)
		if !ok {
			return differ
		}
		a, okA := new(big.Rat).SetString(string(g))
		b, okB := new(big.Rat).SetString(string(w))
		if okA && okB && a.Cmp(b) == 0 {
			return ""
		}
		return differ
	case string:
		g, ok := got.(string)
		if !ok {
			return differ
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "15:04:05.999999999"} {
			a, errA := time.Parse(layout, g)
			b, errB := time.Parse(layout, w)
			if errA == nil && errB == nil && a.Equal(b) {
				return ""
			}
		}
	}
	if got != want {
		return differ
	}
	return ""
}
