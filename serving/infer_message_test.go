package serving

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/proto/inference"
	"github.com/weir-ml/weir/registry/feature"
)

// elementsOf are the same whole numbers as typed contents and as a raw tensor.
func elementsOf(kind string, xs []int64) (*inference.InferTensorContents, []byte) {
	c, raw, le := &inference.InferTensorContents{}, []byte{}, binary.LittleEndian
	for _, x := range xs {
		switch kind {
		case "INT8", "INT16", "INT32":
			c.IntContents = append(c.IntContents, int32(x))
		case "INT64":
			c.Int64Contents = append(c.Int64Contents, x)
		case "UINT8", "UINT16", "UINT32":
			c.UintContents = append(c.UintContents, uint32(x))
		case "UINT64":
			c.Uint64Contents = append(c.Uint64Contents, uint64(x))
		case "FP32":
			c.Fp32Contents = append(c.Fp32Contents, float32(x))
			raw = le.AppendUint32(raw, math.Float32bits(float32(x)))
		case "FP64":
			c.Fp64Contents = append(c.Fp64Contents, float64(x))
			raw = le.AppendUint64(raw, math.Float64bits(float64(x)))
		case "BYTES":
			text := fmt.Sprint(x)
			c.BytesContents = append(c.BytesContents, []byte(text))
			raw = append(le.AppendUint32(raw, uint32(len(text))), text...)
		}
		if strings.Contains(kind, "INT") {
			raw = append(raw, le.AppendUint64(nil, uint64(x))[:datatypeWidths[datatypeOf(kind)]]...)
		}
	}
	return c, raw
}

// scrambled is a message written as other clients may: its fields in any order, among others that are not known, numbers and messages in pieces.
func scrambled(rnd *rand.Rand, b []byte, depth int) []byte {
	var fields [][]byte
	byNumber := map[protowire.Number][]int{}
	for len(b) > 0 {
		_, _, n := protowire.ConsumeTag(b)
		number, _, _ := protowire.ConsumeTag(b)
		size := n + protowire.ConsumeFieldValue(number, protowire.BytesType, b[n:])
		byNumber[number] = append(byNumber[number], len(fields))
		fields = append(fields, b[:size])
		b = b[size:]
	}
	if rnd.IntN(2) == 0 {
		fields = append(fields, protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), rnd.Uint64()),
			protowire.AppendTag(protowire.AppendTag(nil, 900, protowire.StartGroupType), 900, protowire.EndGroupType))
	}
	var out []byte
	next := map[protowire.Number]int{}
	for _, i := range rnd.Perm(len(fields)) {
		number, _, _ := protowire.ConsumeTag(fields[i])
		f := fields[i]
		if at := byNumber[number]; len(at) > 0 { // entries of one list keep their order
			f = fields[at[next[number]]]
			next[number]++
		}
		_, kind, n := protowire.ConsumeTag(f)
		if kind != protowire.BytesType {
			out = append(out, f...)
			continue
		}
		part, _ := protowire.ConsumeBytes(f[n:])
		packed := depth == 1 && number == 3 || depth == 2 && number <= 5
		switch {
		case depth == 0 && number == 5 || depth == 1 && number == 5:
			// The contents of an input may come as two messages.
			if half := scrambled(rnd, part, depth+1); depth == 1 && rnd.IntN(2) == 0 {
				for len(half) > 0 {
					_, _, n := protowire.ConsumeTag(half)
					number, kind, _ := protowire.ConsumeTag(half)
					n += protowire.ConsumeFieldValue(number, kind, half[n:])
					out = protowire.AppendBytes(protowire.AppendTag(out, 5, protowire.BytesType), half[:n])
					half = half[n:]
				}
			} else {
				out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), half)
			}
		case packed && rnd.IntN(2) == 0:
			for len(part) > 0 {
				x, n := protowire.ConsumeVarint(part)
				out = protowire.AppendVarint(protowire.AppendTag(out, number, protowire.VarintType), x)
				part = part[n:]
			}
		default:
			out = append(out, f...)
		}
	}
	return out
}

// TestInferenceMessages: join keys as typed contents, however a client writes them, and as raw tensors, are what they are as JSON.
func TestInferenceMessages(t *testing.T) {
	kinds := []string{"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BYTES"}
	for seed := range testseed.Each(t, 400) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		rows := rnd.IntN(5)
		var requests inferRequests
		typed, raw := &inference.ModelInferRequest{ModelName: "s", Id: "ä", ModelVersion: "1", Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "x", Parameters: map[string]*inference.InferParameter{"datatype": textParam("FP32"), "y": boolParam(true)}}}}, &inference.ModelInferRequest{ModelName: "s"}
		typed.Parameters = map[string]*inference.InferParameter{"include_statuses": boolParam(true), "tensor": textParam("all")}
		var fields []feature.Field
		var tensors []string
		for i := range 1 + rnd.IntN(3) {
			kind := kinds[rnd.IntN(len(kinds))]
			xs := make([]int64, rows)
			var texts []string
			for j := range xs {
				if xs[j] = rnd.Int64N(127); !strings.HasPrefix(kind, "U") && rnd.IntN(2) == 0 {
					xs[j] = ^xs[j]
				}
				text := fmt.Sprint(xs[j])
				if kind == "BYTES" {
					text = fmt.Sprintf("%q", text)
				}
				texts = append(texts, text)
			}
			f := feature.Field{Name: fmt.Sprint("k", i), Type: []feature.Type{feature.Int64, feature.Int32, feature.Timestamp}[rnd.IntN(3)]}
			if kind == "BYTES" {
				f.Type = []feature.Type{feature.String, feature.Int64}[rnd.IntN(2)]
			}
			fields = append(fields, f)
			shape := [][]int64{{int64(rows)}, {int64(rows), 1}}[rnd.IntN(2)]
			contents, b := elementsOf(kind, xs)
			typed.Inputs = append(typed.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: f.Name, Datatype: kind, Shape: shape, Contents: contents})
			raw.Inputs = append(raw.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: f.Name, Datatype: kind, Shape: shape})
			raw.RawInputContents = append(raw.RawInputContents, b)
			tensors = append(tensors, fmt.Sprintf(`{"name":%q,"datatype":%q,"shape":[%d],"data":[%s]}`, f.Name, kind, rows, strings.Join(texts, ",")))
		}
		want := requests.get()
		require.NoError(t, want.read([]byte(`{"inputs":[`+strings.Join(tensors, ",")+`]}`), -1))
		vectors, n, err := want.Entities(fields)
		require.NoError(t, err)
		for _, q := range []*inference.ModelInferRequest{typed, raw} {
			message, err := proto.Marshal(q)
			require.NoError(t, err)
			for _, b := range [][]byte{message, scrambled(rnd, message, 0)} {
				again := &inference.ModelInferRequest{}
				require.NoError(t, proto.Unmarshal(b, again))
				again.ProtoReflect().SetUnknown(nil)
				for _, in := range again.Inputs {
					in.ProtoReflect().SetUnknown(nil)
					if in.Contents != nil {
						in.Contents.ProtoReflect().SetUnknown(nil)
						if proto.Size(in.Contents) == 0 {
							in.Contents = nil
						}
					}
				}
				for _, in := range q.Inputs {
					if in.Contents != nil && proto.Size(in.Contents) == 0 {
						in.Contents = nil
					}
				}
				require.True(t, proto.Equal(q, again), "%v %v", q, again) // it is the same message
				r := requests.get()
				require.NoError(t, r.Decode(bytes.Clone(b)))
				require.NoError(t, r.readMessage())
				got, m, err := r.Entities(fields)
				require.NoError(t, err)
				require.Equal(t, n, m)
				require.Equal(t, vectors, got)
				require.Equal(t, "s", r.Service)
				require.Equal(t, q == raw, r.binary)
				if q == typed {
					require.Equal(t, []any{"ä", "1", true, "all", []inferOutput{{name: "x", number: fp32}}}, []any{r.RequestID, r.version, r.statuses, r.matrix, r.outputs})
				}
				requests.put(r)
			}
		}
	}
}

// TestInferenceReplies: whatever the values, the message has the raw tensors that HTTP has, and typed ones that are the same.
func TestInferenceReplies(t *testing.T) {
	tensors, refused := 0, 0
	var replies inferReplies
	var requests inferRequests
	for seed := range testseed.Each(t, 400) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		b := randomBlock(rnd, []int{0, 1, 2, 9, 200}[rnd.IntN(5)], 1+rnd.IntN(6))
		s := serviceOf(b)
		s.Meta.Name = []string{"s", strings.Repeat("s", 200)}[rnd.IntN(2)]
		a := &Answer{Block: b, Service: s, Revision: int64(rnd.Uint64() >> rnd.IntN(64))}
		holds := true
		for _, c := range s.Columns {
			holds = holds && numeric(typeOf(s, c))
		}
		for i := range len(s.Columns) + 1 {
			name := matrixName
			if i < len(s.Columns) {
				name = s.Columns[i].Name
			} else if !holds {
				continue
			}
			number := []datatype{0, fp32, fp64}[rnd.IntN(3)]
			validity := rnd.IntN(2) == 0
			ask := func(binary bool) *inferRequest {
				r := requests.get()
				r.reset()
				r.named("id")
				r.outputs, r.validity, r.binary, r.number = append(r.outputs, inferOutput{name: name}), validity, binary, number
				require.NoError(t, r.suits(s))
				return r
			}
			var w inferAnswer
			want, wantErr := inferred(t, a, ask(true))
			require.Equal(t, wantErr, w.write(ask(true), a))
			for _, typed := range []bool{false, true} {
				reply, err := replies.of(ask(!typed), a, 0)
				if wantErr != nil {
					refused++
					require.Equal(t, feature.KindOf(wantErr), feature.KindOf(err))
					continue
				}
				require.NoError(t, err)
				message := reply.AppendTo(nil)
				require.Equal(t, len(message), reply.Size())
				reply.Free()
				got := &inference.ModelInferResponse{}
				require.NoError(t, proto.Unmarshal(message, got))
				require.Empty(t, got.ProtoReflect().GetUnknown())
				require.Equal(t, s.Meta.Name, got.ModelName)
				require.Equal(t, []any{"3", "id", a.Revision}, []any{got.ModelVersion, got.Id, got.Parameters["catalog_revision"].GetInt64Param()})
				raw := rawOf(t, got)
				if count := 1 + btoi(validity); len(raw) == count { // statuses follow where the store did not answer, as JSON over HTTP
					require.True(t, bytes.Equal(w.raw, bytes.Join(raw, nil)))
				} else {
					require.True(t, got.Parameters["partial"].GetBoolParam())
					require.True(t, bytes.HasPrefix(bytes.Join(raw, nil), w.raw))
				}
				for j, o := range got.Outputs {
					require.Equal(t, want[j].Name, o.Name)
					require.Equal(t, want[j].Datatype, o.Datatype)
					require.EqualValues(t, want[j].Parameters.Nulls, o.Parameters["nulls"].GetInt64Param())
					for k, d := range o.Shape {
						require.EqualValues(t, want[j].Shape[k], d)
					}
					tensors++
				}
			}
		}
	}
	require.Greater(t, tensors, 1000)
	require.Greater(t, refused, 100)
	t.Logf("%d tensors are the same, %d were refused", tensors, refused)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// FuzzInferMessage: what is no message to the generated code is none here; what is one is read as its usual form is.
func FuzzInferMessage(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 4 {
		q := asking("s", 7, -1)
		q.Id, q.ModelVersion = "x", "2"
		q.Parameters = map[string]*inference.InferParameter{"tensor": textParam("x"), "include_statuses": boolParam(true)}
		q.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "f", Parameters: map[string]*inference.InferParameter{"datatype": textParam("FP32")}}}
		q.Inputs = append(q.Inputs, &inference.ModelInferRequest_InferInputTensor{Name: "at", Datatype: "BYTES", Shape: []int64{2, 1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{{1}, nil}}})
		if i%2 == 0 {
			q.Inputs[0].Contents, q.Inputs[1].Contents, q.RawInputContents = nil, nil, [][]byte{make([]byte, 16), make([]byte, 8)}
		}
		b, err := proto.Marshal(q)
		require.NoError(f, err)
		if i > 1 {
			b = scrambled(rnd, b, 0)
		}
		f.Add(b)
	}
	f.Add([]byte{0x2a, 0})
	keys := []feature.Field{{Name: "id", Type: feature.Int64}, {Name: "at", Type: feature.String}}
	var requests inferRequests
	read := func(t *testing.T, b []byte) (*inferRequest, []feature.Vector, error) {
		r := requests.get()
		require.NoError(t, r.Decode(b))
		if err := r.readMessage(); err != nil {
			return r, nil, err
		}
		for i := range r.inputs {
			if _, err := r.inputs[i].elements(nil); err != nil {
				return r, nil, err
			}
		}
		v, rows, err := r.Entities(keys)
		require.LessOrEqual(t, rows, len(b))
		return r, v, err
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q := &inference.ModelInferRequest{}
		generated := proto.Unmarshal(b, q)
		r, v, err := read(t, b)
		defer requests.put(r)
		if generated != nil {
			require.Error(t, err)
			return
		}
		if err != nil {
			require.NotContains(t, err.Error(), notMessage().Error())
		}
		usual, merr := proto.Marshal(q)
		require.NoError(t, merr)
		again, w, aerr := read(t, usual)
		defer requests.put(again)
		require.Equal(t, err == nil, aerr == nil, "%v %v", err, aerr)
		if err != nil {
			return
		}
		require.Equal(t, w, v)
		require.Equal(t, []any{again.id, again.version, again.Service, again.matrix, again.number, again.binary, again.statuses, again.times, again.validity}, []any{r.id, r.version, r.Service, r.matrix, r.number, r.binary, r.statuses, r.times, r.validity})
		require.Equal(t, len(again.outputs), len(r.outputs))
		for i := range r.outputs {
			require.Equal(t, again.outputs[i], r.outputs[i])
		}
	})
}
