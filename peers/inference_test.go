//go:build peers

package peers

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/peers/platform"
)

const churnManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: customer}
spec: {join_keys: [{name: customer_id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: customers}
spec:
  topic: customers
  event_time: {field: at}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: customers}
spec:
  source: customers
  entities: [customer]
  features:
    - {name: senior, type: bool}
    - {name: tenure, type: int64}
    - {name: monthly, type: float64}
    - {name: total, type: float64}
    - {name: rate, type: float32}
    - {name: contract, type: string}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: churn}
spec: {features: ["customers:senior", "customers:tenure", "customers:monthly", "customers:total", "customers:rate"]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: frame}
spec: {features: ["customers:contract", "customers:tenure", "customers:senior", "customers:monthly", "customers:total", "customers:rate"]}
`

// churnRows are customers: their events, and what a model makes of them.
type churnRows struct {
	IDs       []string     `json:"-"`
	Events    bytes.Buffer `json:"-"`
	Columns   []string     `json:"columns"`
	Rows      [][]*float64 `json:"rows"`
	Contracts []string     `json:"contracts"`
	Labels    []int        `json:"labels"`
}

// readChurn takes the customers of a real file where it is, else some that are made up.
func readChurn(t *testing.T, most int) *churnRows {
	var rows []map[string]string
	if f, err := os.Open("../../shared/data/telco_churn.csv"); err == nil {
		defer func() { _ = f.Close() }()
		all, err := csv.NewReader(f).ReadAll()
		require.NoError(t, err)
		for _, line := range all[1:] {
			row := map[string]string{}
			for i, name := range all[0] {
				row[name] = line[i]
			}
			rows = append(rows, row)
		}
	} else {
		t.Log("made-up customers: there is no ../shared/data/telco_churn.csv")
		rnd := rand.New(rand.NewPCG(testseed.For(t), 4))
		for i := range 2 * most {
			tenure, monthly := rnd.IntN(73), float64(rnd.IntN(10000))/100+18
			total := strconv.FormatFloat(float64(tenure)*monthly, 'f', 2, 64)
			if tenure == 0 {
				total = " "
			}
			churn := "No"
			if rnd.Float64()*60 > float64(tenure) {
				churn = "Yes"
			}
			rows = append(rows, map[string]string{"customerID": fmt.Sprint("c", i), "SeniorCitizen": fmt.Sprint(rnd.IntN(2)), "tenure": fmt.Sprint(tenure), "MonthlyCharges": fmt.Sprint(monthly),
				"TotalCharges": total, "Contract": []string{"Month-to-month", "One year", "Two year"}[rnd.IntN(3)], "Churn": churn})
		}
	}
	out := &churnRows{Columns: []string{"senior", "tenure", "monthly", "total", "rate"}}
	blank := 0
	for _, row := range rows {
		number := func(name string) *float64 {
			x, err := strconv.ParseFloat(row[name], 64)
			if err != nil {
				return nil
			}
			return &x
		}
		senior, tenure, monthly, total := number("SeniorCitizen"), number("tenure"), number("MonthlyCharges"), number("TotalCharges")
		if total == nil {
			blank++
		} else if len(out.Rows)-blank >= most {
			continue // those that have a null are all taken
		}
		rate := float32(*monthly) / 100
		wide := float64(rate)
		label := 0
		if row["Churn"] == "Yes" {
			label = 1
		}
		out.IDs, out.Contracts, out.Labels = append(out.IDs, row["customerID"]), append(out.Contracts, row["Contract"]), append(out.Labels, label)
		out.Rows = append(out.Rows, []*float64{senior, tenure, monthly, total, &wide})
		require.NoError(t, json.NewEncoder(&out.Events).Encode(map[string]any{"customer_id": row["customerID"], "at": time.Now().Add(-time.Hour).Format(time.RFC3339),
			"senior": *senior == 1, "tenure": int(*tenure), "monthly": monthly, "total": total, "rate": rate, "contract": row["Contract"]}))
	}
	require.NotZero(t, blank)
	return out
}

// TestModelServers: features go from Weir to MLServer, as its answer and through a KServe transformer that looks them up over gRPC, and the models
// predict to the last bit what scikit-learn says of the same rows itself. Triton's client reads them as tensors
// over HTTP and over gRPC, and MLServer's generated client typed ones.
func TestModelServers(t *testing.T) {
	python := platform.Python(t, "mlserver")
	data := readChurn(t, 800)
	client := func(in any, into any, args ...string) {
		t.Helper()
		cmd := exec.Command(python, append([]string{"inference/client.py"}, args...)...)
		text, err := json.Marshal(in)
		require.NoError(t, err)
		var errs tail
		cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &errs
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.Output()
		require.NoError(t, err, "%s", &errs)
		require.NoError(t, json.Unmarshal(out, into), "%s", out)
	}
	models := t.TempDir()
	var want map[string][][]float64
	client(data, &want, "train", models)
	mlserver := platform.StartMLServer(t, models)

	p := start(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "churn.yaml"), []byte(churnManifest), 0o644))
	p.run("apply", "-f", filepath.Join(dir, "churn.yaml"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "customers.jsonl"), data.Events.Bytes(), 0o644))
	p.run("import", "--view", "customers", filepath.Join(dir, "customers.jsonl"))

	stubs := t.TempDir()
	out, err := exec.Command(platform.Python(t, "kserve"), "-m", "grpc_tools.protoc", "-I", "../proto", "--python_out="+stubs, "--grpc_python_out="+stubs, "../proto/weir/v1/features.proto").CombinedOutput()
	require.NoError(t, err, "%s", out)
	script, err := filepath.Abs("../examples/kserve/transformer.py")
	require.NoError(t, err)
	transformer := platform.StartTransformer(t, script, stubs, mlserver, "--model_name", "churn", "--weir", p.app.GRPCAddr(), "--service", "churn")

	// request asks for all customers, and one that nobody knows.
	ids := append([]string{"nobody"}, data.IDs...)
	request := func(ids []string, more map[string]any) []byte {
		q := map[string]any{"id": "q-1", "inputs": []any{map[string]any{"name": "customer_id", "datatype": "BYTES", "shape": []int{len(ids)}, "data": ids}}}
		for k, v := range more {
			q[k] = v
		}
		b, err := json.Marshal(q)
		require.NoError(t, err)
		return b
	}
	weir := func(service string, body []byte) []byte {
		t.Helper()
		resp, err := http.Post("http://"+p.app.HTTPAddr()+"/v2/models/"+service+"/infer", "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, "%s", b)
		return b
	}
	predicted := func(status int, answer []byte) (out [][]float64) {
		t.Helper()
		require.Equal(t, 200, status, "%s", answer)
		var a struct {
			ID      string
			Outputs []struct {
				Shape []int
				Data  []float64
			}
		}
		require.NoError(t, json.Unmarshal(answer, &a), "%s", answer)
		require.Len(t, a.Outputs, 1)
		require.Equal(t, 2, a.Outputs[0].Shape[1])
		for i := range a.Outputs[0].Shape[0] {
			out = append(out, a.Outputs[0].Data[2*i:2*i+2])
		}
		require.Len(t, out, len(a.Outputs[0].Data)/2)
		return out
	}
	forward := map[string]any{"parameters": map[string]any{"as": "request"}}
	status, answer := mlserver.Infer(t, "churn", weir("churn", request(ids, forward)))
	got := predicted(status, answer)
	require.Equal(t, want["churn"], got[1:])
	unknown := got[0]

	// A column each, with a text among them: a data frame to MLServer. Nulls of whole numbers need a type that has NaN.
	status, answer = mlserver.Infer(t, "frame", weir("frame", request(ids[1:], map[string]any{"parameters": map[string]any{"as": "request", "datatype": "FP64"}, "outputs": []any{map[string]any{"name": "*"}}})))
	require.Equal(t, want["frame"], predicted(status, answer))

	status, answer = transformer.Infer(t, "churn", request(ids, nil))
	got = predicted(status, answer)
	require.Equal(t, want["churn"], got[1:])
	require.Equal(t, unknown, got[0], "nobody's features are null whichever way they come")
	require.Contains(t, string(answer), `"q-1"`)
	status, answer = transformer.Infer(t, "churn", []byte(`{"inputs":[{"name":"customer","datatype":"BYTES","shape":[1],"data":["x"]}]}`))
	require.Equal(t, 400, status)
	require.Contains(t, string(answer), "customer_id", "what Weir says is what the caller hears")

	var triton struct {
		Server struct{ Name string }
		Model  struct {
			Outputs []struct{ Name, Datatype string }
		}
		Rows [][]*float64
	}
	client(map[string]any{"key": "customer_id", "values": data.IDs}, &triton, "triton", p.app.HTTPAddr(), "churn")
	require.Equal(t, "weir", triton.Server.Name)
	require.Equal(t, "features", triton.Model.Outputs[0].Name)
	require.Len(t, triton.Model.Outputs, 6)
	require.Equal(t, data.Rows, triton.Rows)

	var over struct {
		Server  struct{ Name string }
		Refused string
		Rows    [][]*float64
		Columns map[string][]any
	}
	client(map[string]any{"key": "customer_id", "values": data.IDs}, &over, "triton-grpc", p.app.GRPCAddr(), "churn")
	require.Equal(t, "weir", over.Server.Name)
	require.Equal(t, "StatusCode.NOT_FOUND", over.Refused)
	require.Equal(t, data.Rows, over.Rows)
	require.Len(t, over.Columns, len(data.Columns))
	for j, name := range data.Columns {
		for i, row := range data.Rows {
			switch got := over.Columns[name][i].(type) {
			case nil:
				require.Nil(t, row[j], "%s of %s", name, data.IDs[i])
			case bool:
				require.Equal(t, *row[j] == 1, got)
			default:
				require.Equal(t, *row[j], got)
			}
		}
	}
	var typed struct {
		ID      string
		Raw     int
		Inputs  []string
		Partial bool
		Rows    [][]*float64
	}
	client(map[string]any{"key": "customer_id", "values": data.IDs}, &typed, "mlserver-grpc", p.app.GRPCAddr(), "churn")
	require.Equal(t, "q-1", typed.ID)
	require.Zero(t, typed.Raw)
	require.False(t, typed.Partial)
	require.Equal(t, []string{"customer_id"}, typed.Inputs)
	require.Equal(t, data.Rows, typed.Rows)
	t.Logf("%d customers: MLServer, a data frame in MLServer, a KServe transformer, Triton's client over HTTP and gRPC, MLServer's over gRPC", len(data.IDs))
}
