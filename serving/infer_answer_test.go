package serving

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// serviceOf is a service whose answer the block could be.
func serviceOf(b *feature.Block) *feature.Service {
	s := &feature.Service{Meta: feature.Meta{Name: "s"}, Version: 3}
	for i := range b.Views {
		s.Views = append(s.Views, b.Views[i].View)
	}
	for _, c := range b.Columns {
		v := s.Views[c.View]
		s.Columns = append(s.Columns, feature.ServiceColumn{View: c.View, Feature: len(v.Features), Name: c.Name})
		v.Features = append(v.Features, feature.Field{Name: c.Name, Type: c.Type})
	}
	return s
}

// tensorOf is a tensor as a client reads it.
type tensorOf struct {
	Name, Datatype string
	Shape          []int
	Parameters     struct {
		ContentType string `json:"content_type"`
		Nulls       int
		Size        *int `json:"binary_data_size"`
	}
	Data []any
}

// inferred writes an answer and reads it as a client does: raw tensors become what they would be in JSON.
func inferred(t *testing.T, a *Answer, r *inferRequest) ([]tensorOf, error) {
	t.Helper()
	var w inferAnswer
	if err := w.write(r, a); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(w.json))
	dec.UseNumber()
	var got struct {
		Inputs, Outputs []tensorOf
		Version         string `json:"model_version"`
	}
	require.NoError(t, dec.Decode(&got), string(w.json))
	if !r.forward {
		require.Equal(t, "3", got.Version)
	}
	tensors, raw := append(got.Outputs, got.Inputs...), w.raw
	for i := range tensors {
		x := &tensors[i]
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		if x.Parameters.Size != nil {
			require.Nil(t, x.Data)
			x.Data = unraw(t, x.Datatype, raw[:*x.Parameters.Size])
			raw = raw[*x.Parameters.Size:]
		}
		require.Len(t, x.Data, n, string(w.json))
	}
	require.Empty(t, raw)
	return tensors, nil
}

func unraw(t *testing.T, kind string, b []byte) (out []any) {
	le := binary.LittleEndian
	for len(b) > 0 {
		n := datatypeWidths[datatypeOf(kind)]
		switch kind {
		case "BOOL":
			out = append(out, b[0] == 1)
		case "INT32":
			out = append(out, json.Number(fmt.Sprint(int32(le.Uint32(b)))))
		case "INT64":
			out = append(out, json.Number(fmt.Sprint(int64(le.Uint64(b)))))
		case "FP32":
			out = append(out, math.Float32frombits(le.Uint32(b)))
		case "FP64":
			out = append(out, math.Float64frombits(le.Uint64(b)))
		default:
			n = 4 + int(le.Uint32(b))
			out = append(out, string(b[4:n]))
		}
		b = b[n:]
	}
	require.Empty(t, b)
	return out
}

// TestInferenceAnswers: whatever the values, each tensor says what /v1/lookup says of them, as JSON and raw, by name and
// in the one tensor; null where that has null or NaN.
func TestInferenceAnswers(t *testing.T) {
	tensors, refused := 0, 0
	for seed := range testseed.Each(t, 400) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		b := randomBlock(rnd, []int{0, 1, 2, 9}[rnd.IntN(4)], 1+rnd.IntN(6))
		s := serviceOf(b)
		a := &Answer{Block: b, Service: s, Revision: 9}
		var lookup struct{ Columns []struct{ Values []any } }
		dec := json.NewDecoder(bytes.NewReader(appendAnswer(nil, a, false, false, 0)))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&lookup))
		broken := false
		for i := range b.Views {
			broken = broken || failed(b.Views[i].Status)
		}
		all := true
		for i := range s.Columns {
			all = all && numeric(typeOf(s, s.Columns[i]))
		}
		for _, raw := range []bool{false, true} {
			for _, number := range []datatype{0, fp32, fp64} {
				for i, c := range s.Columns {
					r := &inferRequest{matrix: matrixName, outputs: []inferOutput{{name: c.Name, number: number, binary: raw, own: true}}, forward: rnd.IntN(4) == 0}
					require.NoError(t, r.suits(s))
					got, err := inferred(t, a, r)
					v := &b.Columns[i].Vector
					if why := refusal(v, r, raw, broken && r.forward); why {
						require.Error(t, err)
						refused++
						continue
					}
					require.NoError(t, err)
					tensors++
					sameTensor(t, got[0], v, lookup.Columns[i].Values, raw)
				}
				if !all {
					continue
				}
				r := &inferRequest{matrix: matrixName, number: number, binary: raw}
				require.NoError(t, r.suits(s))
				got, err := inferred(t, a, r)
				require.NoError(t, err)
				require.Equal(t, []int{b.Rows, len(b.Columns)}, got[0].Shape)
				kind := fp64
				if number == fp32 {
					kind = fp32
				}
				require.Equal(t, kind.String(), got[0].Datatype)
				for i := range b.Columns {
					for j := range b.Rows {
						sameReal(t, kind, &b.Columns[i].Vector, j, lookup.Columns[i].Values[j], got[0].Data[j*len(b.Columns)+i])
						tensors++
					}
				}
			}
		}
	}
	require.Greater(t, tensors, 1000)
	require.Greater(t, refused, 100)
	t.Logf("%d tensors and rows are the same, %d were refused", tensors, refused)
}

// refusal is whether values do not make the tensor.
func refusal(v *feature.Vector, r *inferRequest, raw, broken bool) bool {
	width, nulls := -1, 0
	for i := range v.Valid {
		if !v.Valid[i] {
			nulls++
			continue
		}
		if v.Type.IsArray() {
			n, _ := feature.Elements(v.Type, v.Bytes[i])
			if width >= 0 && n != width {
				return true
			}
			width = n
		}
	}
	real := r.wanted[0].kind == fp32 || r.wanted[0].kind == fp64
	return broken || raw && nulls > 0 && !real
}

// sameTensor compares a tensor of one feature with its values in a lookup.
func sameTensor(t *testing.T, got tensorOf, v *feature.Vector, lookup []any, raw bool) {
	t.Helper()
	require.Equal(t, len(v.Valid), got.Shape[0])
	elem, width := v.Type, 1
	if v.Type.IsArray() {
		elem, width = v.Type.Elem(), got.Shape[1]
	}
	kind := datatypeOf(got.Datatype)
	nulls := 0
	for i, want := range lookup {
		row := []any{want}
		if v.Type.IsArray() {
			if row = make([]any, width); want != nil {
				row = want.([]any)
			}
		}
		if want == nil {
			nulls++
		}
		var e feature.Vector
		if v.Type.IsArray() && v.Valid[i] {
			require.NoError(t, e.Unpack(v.Type, v.Bytes[i]))
		}
		for j, x := range row {
			y := got.Data[i*width+j]
			if kind == fp32 || kind == fp64 {
				if e.Valid != nil {
					sameReal(t, kind, &e, j, x, y)
				} else {
					sameReal(t, kind, v, i, x, y)
				}
				continue
			}
			if text, ok := x.(string); ok && elem == feature.Timestamp {
				at, err := time.Parse(time.RFC3339Nano, text)
				if err != nil {
					continue // a year that RFC 3339 has no digits for
				}
				x = json.Number(fmt.Sprint(at.UnixMicro()))
			} else if ok && elem == feature.Bytes && raw {
				b, err := base64.StdEncoding.DecodeString(text)
				require.NoError(t, err)
				x = string(b)
			}
			if text, ok := y.(string); ok && raw {
				y = string(bytes.ToValidUTF8([]byte(text), []byte("\ufffd")))
				if s, ok := x.(string); ok {
					x = string(bytes.ToValidUTF8([]byte(s), []byte("\ufffd")))
				}
			}
			require.Equal(t, x, y)
		}
	}
	require.Equal(t, nulls, got.Parameters.Nulls)
}

// sameReal compares an element of FP32 or FP64 with the value, and with what a lookup has for it.
func sameReal(t *testing.T, kind datatype, v *feature.Vector, i int, lookup, got any) {
	t.Helper()
	want := math.NaN()
	if lookup != nil {
		want = realAt(v, i)
	}
	if kind == fp32 {
		want = float64(float32(want))
	}
	var is float64
	switch x := got.(type) {
	case nil:
		is = math.NaN()
	case float32:
		is = float64(x)
	case float64:
		is = x
	case string:
		is = map[string]float64{"Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[x]
		require.NotZero(t, is)
	case json.Number:
		var err error
		is, err = x.Float64()
		if kind == fp32 {
			is = float64(float32(is))
		}
		require.NoError(t, err)
	}
	if math.IsNaN(want) {
		require.True(t, math.IsNaN(is))
		return
	}
	require.Equal(t, math.Float64bits(want), math.Float64bits(is), "%v %v", want, got)
}

// silent takes an answer and keeps nothing of it.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) WriteHeader(status int)      { s.status = status }
func (s *silent) Write(b []byte) (int, error) { return len(b), nil }

// What a request allocates is the same for 1 row and for 1000, as JSON and raw.
func TestInferenceAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIP(race): the race detector makes pools forget")
	}
	w := newInference(t, nil)
	r := httptest.NewRequest("POST", "/v2/models/x/infer", nil)
	cost := func(service, more string, rows int) float64 {
		inference := NewInference(NewLookups(w.server, w.reg, func(s *feature.Service) (Plan, error) { return &still{s: s, text: []byte("two year")}, nil }), "", nil)
		r.SetPathValue("service", service)
		body := []byte(fmt.Sprintf(`{"inputs":[{"name":"id","datatype":"INT64","shape":[%d],"data":[1%s]}]%s}`, rows, strings.Repeat(",1000", rows-1), more))
		return testing.AllocsPerRun(50, func() {
			out := silent{header: http.Header{}}
			if err := inference.infer(&out, r, body); err != nil || out.status > 200 {
				t.Fatal(out.status, err)
			}
		})
	}
	for service, more := range map[string]string{"numbers": "", "churn": `,"outputs":[{"name":"f_float64"},{"name":"f_string"},{"name":"f_bool"}]`} {
		for _, raw := range []string{"", `,"parameters":{"binary_data_output":true,"datatype":"FP32"}`} {
			if service == "churn" && raw != "" {
				continue // a raw tensor of texts has no nulls, and this plan fills nothing else
			}
			one, thousand := cost(service, more+raw, 1), cost(service, more+raw, 1000)
			t.Log("allocations of", service, more+raw, one, thousand)
			require.LessOrEqual(t, thousand, one+2, "a pool may be emptied in between")
			require.Less(t, one, 25.0)
		}
	}
}

// BenchmarkInference is an answer of 100 rows and ten features as one tensor, and as a tensor a feature, beside a lookup's.
func BenchmarkInference(b *testing.B) {
	block := benchBlock(feature.Float64, 100, 10)
	a := &Answer{Block: block, Service: serviceOf(block)}
	for _, c := range []struct {
		name string
		r    *inferRequest // nil: a lookup's answer
	}{{"lookup", nil}, {"one", &inferRequest{matrix: matrixName}}, {"raw", &inferRequest{matrix: matrixName, binary: true}}, {"by name", &inferRequest{matrix: matrixName, outputs: []inferOutput{{name: allFeatures}}}}} {
		name, r := c.name, c.r
		var w inferAnswer
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.json, w.raw, w.tensors = w.json[:0], w.raw[:0], 0
				if r == nil {
					w.json = appendAnswer(w.json, a, false, false, 0)
					continue
				}
				if err := r.suits(a.Service); err != nil {
					b.Fatal(err)
				}
				if err := w.write(r, a); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(w.json) + len(w.raw)))
		})
	}
}
