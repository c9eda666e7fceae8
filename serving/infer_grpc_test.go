package serving

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/proto/inference"
	"github.com/weir-ml/weir/registry/feature"
)

func textParam(s string) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_StringParam{StringParam: s}}
}

func boolParam(b bool) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: b}}
}

// asking is a request for entities by a typed join key.
func asking(service string, ids ...int64) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: service, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
		Name: "id", Datatype: "INT64", Shape: []int64{int64(len(ids))}, Contents: &inference.InferTensorContents{Int64Contents: ids}}}}
}

// rawOf makes raw tensors of an answer that has typed ones.
func rawOf(t *testing.T, a *inference.ModelInferResponse) (out [][]byte) {
	t.Helper()
	if len(a.RawOutputContents) > 0 {
		for _, o := range a.Outputs {
			require.Nil(t, o.Contents)
		}
		require.Len(t, a.RawOutputContents, len(a.Outputs))
		return a.RawOutputContents
	}
	le := binary.LittleEndian
	for _, o := range a.Outputs {
		c := o.GetContents()
		b := []byte{}
		for _, x := range c.GetBoolContents() {
			require.Equal(t, "BOOL", o.Datatype)
			b = feature.AppendElementBool(b, x)
		}
		for _, x := range c.GetIntContents() {
			require.Equal(t, "INT32", o.Datatype)
			b = le.AppendUint32(b, uint32(x))
		}
		for _, x := range c.GetInt64Contents() {
			require.Equal(t, "INT64", o.Datatype)
			b = le.AppendUint64(b, uint64(x))
		}
		for _, x := range c.GetFp32Contents() {
			require.Equal(t, "FP32", o.Datatype)
			b = le.AppendUint32(b, math.Float32bits(x))
		}
		for _, x := range c.GetFp64Contents() {
			require.Equal(t, "FP64", o.Datatype)
			b = le.AppendUint64(b, math.Float64bits(x))
		}
		for _, x := range c.GetBytesContents() {
			require.Equal(t, "BYTES", o.Datatype)
			b = append(le.AppendUint32(b, uint32(len(x))), x...)
		}
		require.Empty(t, c.GetUintContents())
		require.Empty(t, c.GetUint64Contents())
		out = append(out, b)
	}
	return out
}

// TestInferenceOverGRPC: whatever is asked, gRPC says what HTTP says, raw and typed.
func TestInferenceOverGRPC(t *testing.T) {
	w := newInference(t, nil)
	w.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		require.Equal(t, []int64{7, 8, -9}, keys[0].Int64s)
		require.Equal(t, []bool{true, true, true}, keys[0].Valid)
		err := someValues(ctx, s, keys, rows, b)
		if s.Meta.Name == "churn" {
			b.Views[0].Status[1] = feature.StoreError
		}
		return err
	}
	client := inference.NewGRPCInferenceServiceClient(w.conn)
	cat, _ := w.reg.Current(context.Background())
	yes := map[string]*inference.InferParameter{"include_validity": boolParam(true), "other": textParam("x")}
	for _, c := range []struct {
		service string
		outputs []string
		params  map[string]*inference.InferParameter
	}{
		{"numbers", nil, nil},
		{"numbers", nil, map[string]*inference.InferParameter{"datatype": textParam("FP32"), "tensor": textParam("input-0"), "include_validity": boolParam(true)}},
		{"numbers", []string{"*"}, yes},
		{"numbers", []string{"f_float64", "features", "f_float32"}, nil},
		{"numbers", []string{"*"}, map[string]*inference.InferParameter{"datatype": textParam("FP64"), "include_statuses": boolParam(true), "include_event_times": boolParam(true)}},
		{"churn", []string{"f_string", "f_bytes", "f_bool", "f_timestamp"}, yes}, // of which the store did not answer for one
		{"looks", []string{"*"}, yes},
	} {
		params := map[string]any{}
		for name, p := range c.params {
			if text, ok := p.ParameterChoice.(*inference.InferParameter_StringParam); ok {
				params[name] = text.StringParam
			} else {
				params[name] = p.GetBoolParam()
			}
		}
		var outputs []any
		var wanted []*inference.ModelInferRequest_InferRequestedOutputTensor
		for _, name := range c.outputs {
			outputs = append(outputs, map[string]any{"name": name})
			wanted = append(wanted, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name, Parameters: map[string]*inference.InferParameter{"classification": boolParam(true)}})
		}
		if outputs == nil {
			outputs = []any{}
		}
		body, err := json.Marshal(map[string]any{"id": "q-1", "inputs": []any{map[string]any{"name": "id", "datatype": "INT64", "shape": []int{3}, "data": []int{7, 8, -9}}}, "outputs": outputs, "parameters": params})
		require.NoError(t, err)
		code, text := w.infer(c.service, string(body))
		require.Equal(t, 200, code, text)
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var want struct {
			Parameters struct{ Partial bool }
			Outputs    []tensorOf
		}
		require.NoError(t, dec.Decode(&want))

		for _, raw := range []bool{false, true} {
			for _, says := range []bool{false, true} {
				q := asking(c.service, 7, 8, -9)
				q.Id, q.Outputs, q.Parameters = "q-1", wanted, map[string]*inference.InferParameter{}
				for name, p := range c.params {
					q.Parameters[name] = p
				}
				if raw {
					q.Inputs[0].Contents, q.Inputs[0].Datatype, q.Inputs[0].Shape = nil, "BYTES", []int64{3, 1}
					q.RawInputContents = [][]byte{[]byte("\x01\x00\x00\x007\x01\x00\x00\x008\x02\x00\x00\x00-9")}
				}
				if says { // the other way round than the request
					q.Parameters["binary_data_output"] = boolParam(!raw)
				}
				got, err := client.ModelInfer(context.Background(), q)
				require.NoError(t, err)
				require.Equal(t, c.service, got.ModelName)
				require.Equal(t, "1", got.ModelVersion)
				require.Equal(t, "q-1", got.Id)
				require.Len(t, got.Parameters, 2)
				require.Equal(t, cat.Revision(), got.Parameters["catalog_revision"].GetInt64Param())
				require.Equal(t, want.Parameters.Partial, got.Parameters["partial"].GetBoolParam())
				require.Equal(t, raw != says, len(got.RawOutputContents) > 0)
				require.Len(t, got.Outputs, len(want.Outputs))
				for i, elems := range rawOf(t, got) {
					sameAsJSON(t, want.Outputs[i], got.Outputs[i], elems)
				}
			}
		}
	}
}

// sameAsJSON compares a tensor with what HTTP has as JSON.
func sameAsJSON(t *testing.T, want tensorOf, got *inference.ModelInferResponse_InferOutputTensor, raw []byte) {
	t.Helper()
	require.Equal(t, want.Name, got.Name)
	require.Equal(t, want.Datatype, got.Datatype)
	shape := []int{}
	for _, d := range got.Shape {
		shape = append(shape, int(d))
	}
	require.Equal(t, want.Shape, shape, got.Name)
	require.EqualValues(t, want.Parameters.Nulls, got.Parameters["nulls"].GetInt64Param())
	content := want.Parameters.ContentType
	if content == "base64" {
		content = "" // the bytes are there as they are
	}
	require.Equal(t, content, got.Parameters["content_type"].GetStringParam())
	elems := unraw(t, got.Datatype, raw)
	require.Len(t, elems, len(want.Data), got.Name)
	for i, x := range want.Data {
		y := elems[i]
		if x == nil {
			switch y := y.(type) {
			case float32:
				require.True(t, math.IsNaN(float64(y)))
			case float64:
				require.True(t, math.IsNaN(y))
			case json.Number:
				nothing := "0"
				if strings.HasPrefix(got.Name, "event_time:") {
					nothing = fmt.Sprint(math.MinInt64)
				}
				require.Equal(t, nothing, y.String())
			case bool:
				require.False(t, y)
			case string:
				require.Empty(t, y)
			}
			continue
		}
		if n, ok := x.(json.Number); ok && (got.Datatype == "FP64" || got.Datatype == "FP32") {
			f, err := n.Float64()
			require.NoError(t, err)
			if z, ok := y.(float32); ok {
				require.Equal(t, float32(f), z)
			} else {
				require.Equal(t, f, y)
			}
			continue
		}
		if x == "Infinity" || x == "-Infinity" {
			require.Equal(t, strings.Replace(fmt.Sprintf("%+v", y), "Inf", "Infinity", 1), strings.Replace("+"+x.(string), "+-", "-", 1))
			continue
		}
		if want.Parameters.ContentType == "base64" {
			b, err := base64.StdEncoding.DecodeString(x.(string))
			require.NoError(t, err)
			x = string(b)
		}
		require.Equal(t, x, y, got.Name)
	}
}

// TestInferenceRefusesOverGRPC: errors are statuses of gRPC, with what to do.
func TestInferenceRefusesOverGRPC(t *testing.T) {
	w := newInference(t, func(c *Config) { c.MaxRows, c.MaxValues = 100, 300 })
	asked := 0
	w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
		asked++
		return nil
	}
	client := inference.NewGRPCInferenceServiceClient(w.conn)
	type request = inference.ModelInferRequest
	input := func(q *request) *inference.ModelInferRequest_InferInputTensor { return q.Inputs[0] }
	output := func(q *request, name string, params map[string]*inference.InferParameter) {
		q.Outputs = append(q.Outputs, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name, Parameters: params})
	}
	param := func(q *request, name string, p *inference.InferParameter) {
		q.Parameters = map[string]*inference.InferParameter{name: p}
	}
	kind := func(datatype string, c *inference.InferTensorContents) func(*request) {
		return func(q *request) { input(q).Datatype, input(q).Contents = datatype, c }
	}
	for _, c := range []struct {
		change func(*request)
		code   codes.Code
		text   string
	}{
		{func(q *request) { q.ModelName = "nope" }, codes.NotFound, "nope"},
		{func(q *request) { q.ModelName = "" }, codes.InvalidArgument, "names neither a service"},
		{func(q *request) { q.ModelVersion = "2" }, codes.NotFound, "version 1 is; leave"},
		{func(q *request) { q.Inputs = nil }, codes.InvalidArgument, "the join key is missing (give id)"},
		{func(q *request) { q.Inputs = append(q.Inputs, q.Inputs[0]) }, codes.InvalidArgument, "twice"},
		{func(q *request) { input(q).Name = "shop" }, codes.InvalidArgument, "entity id"},
		{func(q *request) { input(q).Name = "" }, codes.InvalidArgument, "a name, a shape and a datatype"},
		{func(q *request) { input(q).Shape = nil }, codes.InvalidArgument, "a name, a shape and a datatype"},
		{func(q *request) { input(q).Datatype = "" }, codes.InvalidArgument, "a name, a shape and a datatype"},
		{func(q *request) { input(q).Datatype = "INT" }, codes.InvalidArgument, `"INT" is none of the protocol (there are BOOL, UINT8`},
		{func(q *request) { input(q).Shape = []int64{-1} }, codes.InvalidArgument, "shape [-1]; a join key has [n] or [n,1]"},
		{func(q *request) { input(q).Shape = []int64{1, 2} }, codes.InvalidArgument, "[n,1]"},
		{func(q *request) { input(q).Shape = make([]int64, 100) }, codes.InvalidArgument, "[n,1]"},
		{func(q *request) { input(q).Shape = []int64{1 << 40} }, codes.InvalidArgument, "the shape says 1099511627776 elements, and there are 1"},
		{func(q *request) { input(q).Contents = nil }, codes.InvalidArgument, "and there are 0"},
		{kind("FP16", &inference.InferTensorContents{Fp32Contents: []float32{1}}), codes.InvalidArgument, "a tensor of FP16 has no fp32_contents"},
		{kind("INT32", &inference.InferTensorContents{Int64Contents: []int64{1}}), codes.InvalidArgument, "a tensor of INT32 has no int64_contents"},
		{kind("INT8", &inference.InferTensorContents{IntContents: []int32{-129}}), codes.InvalidArgument, "value 0, -129, is no element of a tensor of INT8"},
		{kind("INT16", &inference.InferTensorContents{IntContents: []int32{1 << 15}}), codes.InvalidArgument, "no element"},
		{kind("UINT8", &inference.InferTensorContents{UintContents: []uint32{256}}), codes.InvalidArgument, "no element"},
		{kind("UINT16", &inference.InferTensorContents{UintContents: []uint32{1 << 16}}), codes.InvalidArgument, "no element"},
		{kind("UINT64", &inference.InferTensorContents{Uint64Contents: []uint64{1 << 63}}), codes.InvalidArgument, "not a int64"},
		{kind("FP64", &inference.InferTensorContents{Fp64Contents: []float64{0.5}}), codes.InvalidArgument, "not a int64"},
		{kind("FP32", &inference.InferTensorContents{Fp32Contents: []float32{float32(math.NaN())}}), codes.InvalidArgument, "not a int64"},
		{kind("BOOL", &inference.InferTensorContents{BoolContents: []bool{true}}), codes.InvalidArgument, "not a int64"},
		{kind("BYTES", &inference.InferTensorContents{BytesContents: [][]byte{[]byte("x")}}), codes.InvalidArgument, "not a int64"},
		{func(q *request) { q.RawInputContents = [][]byte{make([]byte, 8)} }, codes.InvalidArgument, "one of them"},
		{func(q *request) { input(q).Contents, q.RawInputContents = nil, make([][]byte, 2) }, codes.InvalidArgument, "there are 2 for 1 inputs"},
		{func(q *request) { input(q).Contents, q.RawInputContents = nil, [][]byte{make([]byte, 7)} }, codes.InvalidArgument, "no whole number of INT64"},
		{func(q *request) { input(q).Contents, q.RawInputContents = nil, [][]byte{make([]byte, 16)} }, codes.InvalidArgument, "and there are 2"},
		{func(q *request) {
			for range mostInputs {
				q.Inputs = append(q.Inputs, q.Inputs[0])
			}
		}, codes.InvalidArgument, "more than 256 of them"},
		{func(q *request) { param(q, "as", textParam("request")) }, codes.InvalidArgument, "over gRPC an answer is a response"},
		{func(q *request) { param(q, "as", textParam("requests")) }, codes.InvalidArgument, "neither request nor response"},
		{func(q *request) { param(q, "as", boolParam(true)) }, codes.InvalidArgument, "a bool where a string is expected"},
		{func(q *request) { param(q, "datatype", textParam("INT64")) }, codes.InvalidArgument, "FP64 or FP32"},
		{func(q *request) { param(q, "datatype", &inference.InferParameter{}) }, codes.InvalidArgument, "a nothing where a string is expected"},
		{func(q *request) {
			param(q, "include_statuses", &inference.InferParameter{ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 1}})
		}, codes.InvalidArgument, "a int64 where true or false is expected"},
		{func(q *request) { output(q, "f_bol", nil) }, codes.InvalidArgument, "no such feature, and the tensor of all is called features"},
		{func(q *request) { output(q, "f_bool", nil); output(q, "*", nil) }, codes.InvalidArgument, "twice"},
		{func(q *request) {
			output(q, "f_bool", map[string]*inference.InferParameter{"datatype": textParam("x")})
		}, codes.InvalidArgument, "FP64 or FP32"},
		{func(q *request) { q.ModelName = "churn" }, codes.InvalidArgument, "which one tensor of numbers cannot hold"},
		{func(q *request) {
			input(q).Shape, input(q).Contents = []int64{101}, &inference.InferTensorContents{Int64Contents: make([]int64, 101)}
		}, codes.ResourceExhausted, "serving.max_rows"},
		{func(q *request) {
			input(q).Shape, input(q).Contents = []int64{51}, &inference.InferTensorContents{Int64Contents: make([]int64, 51)}
		}, codes.ResourceExhausted, "serving.max_values"},
	} {
		q := asking("numbers", 1)
		c.change(q)
		_, err := client.ModelInfer(context.Background(), q)
		require.Equal(t, c.code, status.Code(err), "%v: %s", q, err)
		require.ErrorContains(t, err, c.text, "%v", q)
	}
	require.Zero(t, asked)

	// What is no message is refused as any other wrong request, and counted.
	broken := &inference.ModelInferResponse{ModelName: "numbers", RawOutputContents: [][]byte{{0xff}}} // outputs are messages in a request
	err := w.conn.Invoke(context.Background(), inference.GRPCInferenceService_ModelInfer_FullMethodName, broken, &inference.ModelInferResponse{})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "it is no ModelInferRequest")
	require.Contains(t, gathered(t, w.metrics), "code=InvalidArgument method=/inference.GRPCInferenceService/ModelInfer")

	for kind, code := range grpcCodes {
		w.read = func(context.Context, *feature.Service, []feature.Vector, int, *feature.Block) error {
			return feature.Errorf(kind, "store.get", "view v", "why").WithHint("the way out")
		}
		_, err := client.ModelInfer(context.Background(), asking("numbers", 1))
		require.Equal(t, code, status.Code(err))
	}

	// A null that a tensor has no way to say is refused, unless the client asks which are.
	w.read = someValues
	q := asking("numbers", 7, 8, 9)
	output(q, "f_int64", nil)
	_, err = client.ModelInfer(context.Background(), q)
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "feature f_int64: 1 values are null, which a tensor of INT64 has no way to say (ask with include_validity")
	param(q, "include_validity", boolParam(true))
	got, err := client.ModelInfer(context.Background(), q)
	require.NoError(t, err)
	require.Equal(t, "valid:f_int64", got.Outputs[1].Name)
	require.Equal(t, []bool{true, true, false}, got.Outputs[1].Contents.BoolContents)
	require.Equal(t, []int64{math.MaxInt64, 0, 0}, got.Outputs[0].Contents.Int64Contents)
	// A project is the call's.
	_, err = client.ModelInfer(metadata.AppendToOutgoingContext(context.Background(), projectHeader, "nope"), asking("numbers", 1))
	require.Equal(t, codes.NotFound, status.Code(err))
	// The last: nobody knows when the server hears of it.
	w.read = func(ctx context.Context, _ *feature.Service, _ []feature.Vector, _ int, _ *feature.Block) error {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = client.ModelInfer(ctx, asking("numbers", 1))
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

// TestInferenceModelsOverGRPC: what there is to ask for is what HTTP says.
func TestInferenceModelsOverGRPC(t *testing.T) {
	w := newInference(t, nil)
	ctx := context.Background()
	client := inference.NewGRPCInferenceServiceClient(w.conn)
	live, err := client.ServerLive(ctx, &inference.ServerLiveRequest{})
	require.NoError(t, err)
	require.True(t, live.Live)
	server, err := client.ServerMetadata(ctx, &inference.ServerMetadataRequest{})
	require.NoError(t, err)
	require.True(t, proto.Equal(&inference.ServerMetadataResponse{Name: "weir", Version: "v9", Extensions: []string{"binary_tensor_data"}}, server))
	for _, service := range []string{"numbers", "churn", "looks"} {
		_, text, _ := w.call("GET", "/v2/models/{service}", "/v2/models/"+service, nil)
		type tensor struct {
			Name, Datatype string
			Shape          []int64
			Parameters     map[string]string
		}
		var want struct {
			Name, Platform  string
			Versions        []string
			Inputs, Outputs []tensor
		}
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		got, err := client.ModelMetadata(ctx, &inference.ModelMetadataRequest{Name: service, Version: "1"})
		require.NoError(t, err)
		plain := func(tensors []*inference.ModelMetadataResponse_TensorMetadata) (out []tensor) {
			for _, m := range tensors {
				params := map[string]string{}
				for name, p := range m.Parameters {
					params[name] = p.GetStringParam()
				}
				out = append(out, tensor{m.Name, m.Datatype, m.Shape, params})
			}
			return out
		}
		require.Equal(t, []any{want.Name, want.Platform, want.Versions, want.Inputs, want.Outputs}, []any{got.Name, got.Platform, got.Versions, plain(got.Inputs), plain(got.Outputs)})
	}
	for _, why := range []string{"", "starting"} {
		w.unready = why
		server, err := client.ServerReady(ctx, &inference.ServerReadyRequest{})
		require.NoError(t, err)
		require.Equal(t, why == "", server.Ready)
		model, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: "numbers"})
		require.NoError(t, err)
		require.Equal(t, why == "", model.Ready)
	}
	elsewhere := metadata.AppendToOutgoingContext(ctx, projectHeader, "nope")
	for _, call := range []func() error{
		func() error { _, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: "nope"}); return err },
		func() error {
			_, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: "numbers", Version: "2"})
			return err
		},
		func() error {
			_, err := client.ModelMetadata(ctx, &inference.ModelMetadataRequest{Name: "numbers", Version: "2"})
			return err
		},
		func() error {
			_, err := client.ModelMetadata(elsewhere, &inference.ModelMetadataRequest{Name: "numbers"})
			return err
		},
	} {
		require.Equal(t, codes.NotFound, status.Code(call()))
	}
}

// What a request allocates is the same for 1 row and for 1000, raw and typed.
func TestInferenceAllocationsOverGRPC(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIP(race): the race detector makes pools forget")
	}
	w := newInference(t, nil)
	cost := func(q *inference.ModelInferRequest) float64 {
		h := NewInference(NewLookups(w.server, w.reg, func(s *feature.Service) (Plan, error) { return &still{s: s, text: []byte("two year")}, nil }), "", nil)
		message, err := proto.Marshal(q)
		require.NoError(t, err)
		var out []byte
		return testing.AllocsPerRun(50, func() {
			a, err := h.ModelInfer(context.Background(), message)
			if err != nil {
				t.Fatal(err)
			}
			if out = a.AppendTo(out[:0]); len(out) != a.Size() {
				t.Fatal(errors.New("the size is not what was written"))
			}
			a.Free()
		})
	}
	for _, outputs := range [][]string{nil, {"f_float32"}, {"f_float64", "f_string"}} {
		for _, raw := range []bool{false, true} {
			var allocs []float64
			for _, rows := range []int{1, 1000} {
				q := asking("numbers", make([]int64, rows)...)
				if outputs != nil {
					q.ModelName = "churn"
				}
				for _, name := range outputs {
					q.Outputs = append(q.Outputs, &inference.ModelInferRequest_InferRequestedOutputTensor{Name: name})
				}
				if raw {
					q.Inputs[0].Contents, q.RawInputContents = nil, [][]byte{make([]byte, 8*rows)}
				}
				allocs = append(allocs, cost(q))
			}
			t.Log("allocations of", outputs, raw, allocs)
			require.LessOrEqual(t, allocs[1], allocs[0]+2, "a pool may be emptied in between")
			require.Less(t, allocs[0], 12.0)
		}
	}
}
