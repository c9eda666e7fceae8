package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	peer "github.com/twmb/avro"

	"github.com/weir-ml/weir/internal/avroschema"
	"github.com/weir-ml/weir/internal/jsontext"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/compat"
)

// made is a random type: its schema as JSON, and a maker of values with what they
// are as JSON.
type made struct {
	schema any
	value  func(r *rand.Rand) (v any, text string)
}

type maker struct {
	r     *rand.Rand
	named int
}

func (m *maker) text(r *rand.Rand) string {
	return strings.Repeat(string([]rune{'a', '"', '\\', 'é', '日', '\n', '\u0000', '😀'}[r.IntN(8)]), r.IntN(5))
}

func quoted(s string) string {
	b, _ := jsontext.AppendString(nil, []byte(s))
	return string(b)
}

func (m *maker) name() string { m.named++; return fmt.Sprintf("n%d", m.named) }

func (m *maker) make(depth int, union bool) made {
	n := 14
	if depth <= 0 {
		n = 10
	}
	switch m.r.IntN(n) {
	case 0:
		return made{"boolean", func(r *rand.Rand) (any, string) { b := r.IntN(2) == 0; return b, fmt.Sprint(b) }}
	case 1:
		return made{"int", func(r *rand.Rand) (any, string) { v := int32(r.Uint32()) >> r.IntN(32); return v, fmt.Sprint(v) }}
	case 2:
		return made{"long", func(r *rand.Rand) (any, string) { v := int64(r.Uint64()) >> r.IntN(64); return v, fmt.Sprint(v) }}
	case 3:
		return made{"float", func(r *rand.Rand) (any, string) {
			f := math.Float32frombits(r.Uint32())
			if f-f != 0 {
				f = 0.5
			}
			b, _ := jsontext.AppendFloat(nil, float64(f), 32)
			return f, string(b)
		}}
	case 4:
		return made{"double", func(r *rand.Rand) (any, string) {
			f := math.Float64frombits(r.Uint64())
			if f-f != 0 {
				f = 0.5
			}
			b, _ := jsontext.AppendFloat(nil, f, 64)
			return f, string(b)
		}}
	case 5:
		return made{"string", func(r *rand.Rand) (any, string) { s := m.text(r); return s, quoted(s) }}
	case 6:
		return made{"bytes", func(r *rand.Rand) (any, string) {
			b := make([]byte, r.IntN(5))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return b, string(jsontext.AppendBase64(nil, b))
		}}
	case 7:
		size := m.r.IntN(6) + 1
		return made{map[string]any{"type": "fixed", "name": m.name(), "size": size}, func(r *rand.Rand) (any, string) {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			return b, string(jsontext.AppendBase64(nil, b))
		}}
	case 8:
		all := []string{"A", "B", "C", "D"}[:m.r.IntN(4)+1]
		return made{map[string]any{"type": "enum", "name": m.name(), "symbols": all}, func(r *rand.Rand) (any, string) {
			s := all[r.IntN(len(all))]
			return s, quoted(s)
		}}
	case 9:
		if union {
			return m.make(depth, union)
		}
		x := m.make(depth-1, true)
		return made{[]any{"null", x.schema}, func(r *rand.Rand) (any, string) {
			if r.IntN(3) == 0 {
				return nil, "null"
			}
			return x.value(r)
		}}
	case 10:
		x := m.make(depth-1, false)
		return made{map[string]any{"type": "array", "items": x.schema}, func(r *rand.Rand) (any, string) {
			list, parts := []any{}, []string{}
			for range r.IntN(4) {
				v, t := x.value(r)
				list, parts = append(list, v), append(parts, t)
			}
			return list, "[" + strings.Join(parts, ",") + "]"
		}}
	case 11:
		x := m.make(depth-1, false)
		return made{map[string]any{"type": "map", "values": x.schema}, func(r *rand.Rand) (any, string) {
			all, parts := map[string]any{}, []string{}
			for i := range r.IntN(4) {
				k := fmt.Sprint(i, m.text(r))
				v, t := x.value(r)
				all[k], parts = v, append(parts, quoted(k)+":"+t)
			}
			return all, "{" + strings.Join(parts, ",") + "}"
		}}
	}
	return m.record(depth)
}

func (m *maker) record(depth int) made {
	var fields []any
	var of []made
	name := m.name()
	for i := range m.r.IntN(4) {
		x := m.make(depth-1, false)
		of = append(of, x)
		fields = append(fields, map[string]any{"name": fmt.Sprintf("f%d", i), "type": x.schema})
	}
	if fields == nil {
		fields = []any{}
	}
	return made{map[string]any{"type": "record", "name": name, "fields": fields}, func(r *rand.Rand) (any, string) {
		all, parts := map[string]any{}, []string{}
		for i, x := range of {
			v, t := x.value(r)
			k := fmt.Sprintf("f%d", i)
			all[k], parts = v, append(parts, quoted(k)+":"+t)
		}
		return all, "{" + strings.Join(parts, ",") + "}"
	}}
}

func encoded(t testing.TB, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func parsed(t testing.TB, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), "%s", text)
	return v
}

// TestRandomEvents: what another implementation writes of random types and values is
// read as those values, digit for digit.
func TestRandomEvents(t *testing.T) {
	for seed := range testseed.Each(t, 300) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &maker{r: r}
		x := m.make(4, false)
		text := encoded(t, x.schema)
		w, err := peer.Parse(text)
		require.NoError(t, err, text)
		s := schema(t, text)
		d, err := New(s, s, 1<<20)
		require.NoError(t, err, text)
		for range 5 {
			v, want := x.value(r)
			wire, err := w.Encode(v)
			require.NoError(t, err, "%s %v", text, v)
			got, err := d.AppendJSON(nil, wire)
			require.NoError(t, err, "%s %x", text, wire)
			require.Equal(t, parsed(t, []byte(want)), parsed(t, got), text)
			// Cut off anywhere it is a fault; changed anywhere it is one or JSON.
			if len(wire) > 0 {
				_, err = d.AppendJSON(nil, wire[:r.IntN(len(wire))])
				require.Error(t, err, "%s %x", text, wire)
				wire[r.IntN(len(wire))] ^= byte(1 << r.IntN(8))
				if got, err := d.AppendJSON(nil, wire); err == nil {
					require.True(t, json.Valid(got), "%s", got)
				}
			}
		}
	}
}

// change makes another reader of a schema: fields come and go, numbers get wider, enums narrower.
func change(r *rand.Rand, v any) any {
	switch v := v.(type) {
	case string:
		if r.IntN(4) == 0 {
			return map[string]string{"int": "long", "long": "double", "float": "double", "string": "bytes", "bytes": "string", "double": "float", "boolean": "int"}[v]
		}
	case []any:
		if r.IntN(6) == 0 {
			return change(r, v[1])
		}
		return []any{"null", change(r, v[1])}
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = x
		}
		switch v["type"] {
		case "array":
			out["items"] = change(r, v["items"])
		case "map":
			out["values"] = change(r, v["values"])
		case "enum":
			all := v["symbols"].([]string)
			if r.IntN(4) == 0 {
				out["symbols"] = append([]string{"Z"}, all[:len(all)-1]...)
				if r.IntN(2) == 0 {
					out["default"] = "Z"
				}
			}
		case "record":
			fields := []any{}
			for _, f := range v["fields"].([]any) {
				if r.IntN(6) == 0 {
					continue
				}
				m := f.(map[string]any)
				fields = append(fields, map[string]any{"name": m["name"], "type": change(r, m["type"])})
			}
			switch r.IntN(6) {
			case 0:
				fields = append(fields, map[string]any{"name": "g", "type": []any{"null", "int"}, "default": nil})
			case 1:
				fields = append(fields, map[string]any{"name": "g", "type": map[string]any{"type": "array", "items": "int"}, "default": []int{1}})
			case 2:
				fields = append(fields, map[string]any{"name": "g", "type": "int"})
			}
			out["fields"] = fields
		}
		return out
	}
	return v
}

// failing reports whether a value of some event cannot be read.
func failing(n *node, seen map[*node]bool) bool {
	if n == nil || seen[n] {
		return false
	}
	seen[n] = true
	bad := n.op == opFail || failing(n.items, seen)
	for _, b := range n.branches {
		bad = bad || failing(b, seen)
	}
	for i := range n.fields {
		bad = bad || failing(n.fields[i].node, seen)
	}
	for _, s := range n.symbols {
		bad = bad || s == nil
	}
	return bad
}

// plain is what another implementation read, as JSON would have it.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(bytes.Trim(jsontext.AppendBase64(nil, v), `"`))
	case float32:
		b, _ := jsontext.AppendFloat(nil, float64(v), 32)
		return json.Number(b)
	case float64:
		b, _ := jsontext.AppendFloat(nil, v, 64)
		return json.Number(b)
	case int32, int64, int:
		return json.Number(fmt.Sprint(v))
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	}
	return v
}

// TestRandomResolution: what one random schema wrote is read as another one as another
// implementation reads it, and the catalog calls two schemas compatible where no event fails.
func TestRandomResolution(t *testing.T) {
	read, refused := 0, 0
	for seed := range testseed.Each(t, 600) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &maker{r: r}
		x := m.record(3)
		wt, rt := encoded(t, x.schema), encoded(t, change(r, x.schema))
		ws, rs := schema(t, wt), schema(t, rt)
		why := compat.Avro(ws, rs)
		d, err := New(ws, rs, 1<<20)
		require.Equal(t, len(why) == 0, err == nil && !failing(d.root, map[*node]bool{}), "%s\n%s\n%v %v", wt, rt, why, err)
		if len(why) > 0 {
			refused++
		} else {
			read++
		}
		pw, err1 := peer.Parse(wt)
		pr, err2 := peer.Parse(rt)
		require.NoError(t, err1)
		require.NoError(t, err2)
		both, perr := peer.Resolve(pw, pr)
		if len(why) == 0 {
			require.NoError(t, perr, "%s\n%s", wt, rt)
		}
		for range 5 {
			v, _ := x.value(r)
			wire, err := pw.Encode(v)
			require.NoError(t, err)
			if d == nil || perr != nil {
				continue
			}
			got, err := d.AppendJSON(nil, wire)
			if len(why) == 0 && err != nil {
				require.Contains(t, err.Error(), "UTF-8", "bytes that are read as text may be none")
				continue
			}
			var theirs any
			_, perr := both.Decode(wire, &theirs)
			if err == nil && perr == nil {
				require.Equal(t, plain(theirs), parsed(t, got), "%s\n%s\n%x", wt, rt, wire)
			}
		}
	}
	require.Greater(t, min(read, refused), 50, "%d %d", read, refused)
}

// FuzzDecode: no payload makes the decoder panic, run long, or give anything but JSON.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`["null","int","string",{"type":"array","items":["null","double"]},{"type":"map","values":"bytes"}]`,
		`{"type":"record","name":"l","fields":[{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":5}},{"name":"next","type":["null","l"]}]}`,
		`{"type":"array","items":{"type":"long","logicalType":"timestamp-micros"}}`,
	} {
		f.Add(text, text, []byte{2, 2, 4, 0, 0})
	}
	f.Fuzz(func(t *testing.T, writer, reader string, payload []byte) {
		w, err := avroschema.Parse([]byte(writer))
		if err != nil {
			return
		}
		r, err := avroschema.Parse([]byte(reader))
		if err != nil {
			return
		}
		compat.Avro(w, r)
		_ = Check(r)
		d, err := New(w, r, 1<<16)
		if err != nil {
			return
		}
		out, err := d.AppendJSON(nil, payload)
		if err == nil && !json.Valid(out) {
			t.Fatalf("%s", out)
		}
		if len(out) > 1<<21+2*len(payload) {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
