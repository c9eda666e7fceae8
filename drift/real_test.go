package drift

import (
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// sharedRows reads a file of ../shared/data beside the module, header and all.
func sharedRows(t *testing.T, name string) (header map[string]int, rows [][]string) {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	f, err := os.Open(filepath.Join(dir, "data", name))
	if err != nil {
		t.Skipf("SKIP(shared absent): %v", err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	header = map[string]int{}
	for i, h := range all[0] {
		header[h] = i
	}
	return header, all[1:]
}

// table profiles rows; columns that are not numbers are categories, NA and the empty text are null.
func table(header map[string]int, rows [][]string, fields []feature.Field) *Profile {
	p := &Profile{Rows: int64(len(rows))}
	var f folder
	for _, x := range fields {
		nums, texts, valid := make([]float64, len(rows)), make([]string, len(rows)), make([]bool, len(rows))
		for i, r := range rows {
			s := r[header[x.Name]]
			var err error
			if x.Type == feature.Float64 {
				nums[i], err = strconv.ParseFloat(s, 64)
			}
			texts[i], valid[i] = s, s != "NA" && s != "" && err == nil
		}
		if x.Type == feature.Float64 {
			f.update(p.at(x.Name, Numbers), floats(nums, valid), 0, len(rows))
		} else {
			f.update(p.at(x.Name, Categories), texts1(texts, valid), 0, len(rows))
		}
	}
	return p
}

func halves(r *rand.Rand, rows [][]string) (a, b [][]string) {
	for _, i := range r.Perm(len(rows)) {
		if len(a) < len(rows)/2 {
			a = append(a, rows[i])
		} else {
			b = append(b, rows[i])
		}
	}
	return a, b
}

func TestRealWeather(t *testing.T) {
	header, rows := sharedRows(t, "nyc_weather_2013.csv")
	byMonth := map[string][][]string{}
	for _, r := range rows {
		byMonth[r[header["time_hour"]][:7]] = append(byMonth[r[header["time_hour"]][:7]], r)
	}
	m := judged(feature.Field{Name: "temp", Type: feature.Float64}, feature.Field{Name: "humid", Type: feature.Float64},
		feature.Field{Name: "pressure", Type: feature.Float64}, feature.Field{Name: "wind_speed", Type: feature.Float64}, feature.Field{Name: "origin", Type: feature.String})
	v := Judge(m, NewBaseline(table(header, byMonth["2013-01"], m.ViewOf.Features)), table(header, byMonth["2013-07"], m.ViewOf.Features))
	require.Contains(t, v.DriftedFeatures(), "temp")
	require.NotContains(t, v.DriftedFeatures(), "origin")
	r := rand.New(rand.NewPCG(2013, 1))
	for range 50 {
		a, b := halves(r, byMonth["2013-01"])
		v := Judge(m, NewBaseline(table(header, a, m.ViewOf.Features)), table(header, b, m.ViewOf.Features))
		require.Equal(t, Steady, v.Outcome, v.DriftedFeatures())
	}
}

func TestRealChurn(t *testing.T) {
	header, rows := sharedRows(t, "telco_churn.csv")
	var old, young [][]string
	for _, r := range rows {
		switch n, _ := strconv.Atoi(r[header["tenure"]]); {
		case n >= 24:
			old = append(old, r)
		case n < 6:
			young = append(young, r)
		}
	}
	m := judged(feature.Field{Name: "tenure", Type: feature.Float64}, feature.Field{Name: "TotalCharges", Type: feature.Float64},
		feature.Field{Name: "Contract", Type: feature.String}, feature.Field{Name: "gender", Type: feature.String})
	v := Judge(m, NewBaseline(table(header, old, m.ViewOf.Features)), table(header, young, m.ViewOf.Features))
	require.Equal(t, []string{"tenure", "TotalCharges", "Contract"}, v.DriftedFeatures())
}
