//go:build peers

package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift/compare"
)

// evidentlyNames are what Evidently calls the tests.
var evidentlyNames = map[string]string{"ks": "K-S p_value", "chi_square": "chi-square p_value", "z": "Z-test p_value",
	"wasserstein": "Wasserstein distance (normed)", "jensen_shannon": "Jensen-Shannon distance"}

// TestEvidentlyAgrees compares real files by Evidently's DataDriftPreset and by weir
// compare --method evidently: the same test of each column, with the same score and
// threshold, and the same share of drifted columns but for texts, on which Evidently trains a classifier.
func TestEvidentlyAgrees(t *testing.T) {
	shared := os.Getenv("WEIR_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(shared, "data")); err != nil {
		t.Skipf("SKIP(shared absent): %v", err)
	}
	py := startDrift(t)
	for name, q := range map[string][3]string{
		"weather":     {"nyc_weather_2013.csv", "month == 1", "month == 7"},
		"few days":    {"nyc_weather_2013.csv", "month == 1 and day < 8", "month == 2 and day < 20"}, // p-values
		"birdstrikes": {"birdstrikes.csv", "`Flight Date` < '1995'", "`Flight Date` >= '1999'"},
		"churn":       {"telco_churn.csv", "tenure >= 24", "tenure < 6"},
		"churn, few":  {"telco_churn.csv", "tenure == 1", "tenure == 72"},
	} {
		t.Run(name, func(t *testing.T) {
			var files [2]string
			py.ask(map[string]any{"split": []string{filepath.Join(shared, "data", q[0]), q[1], q[2], t.TempDir()}}, &files)
			var want struct {
				Columns map[string]struct {
					Method           string
					Threshold, Score any
				}
			}
			py.ask(map[string]any{"files": files}, &want)
			r, err := compare.Run(t.Context(), compare.Options{Reference: files[0], Current: files[1], Method: compare.Evidently})
			require.NoError(t, err)
			compared, texts := 0, 0
			for _, c := range r.Columns {
				w, there := want.Columns[c.Name]
				if c.Kind == compare.Text {
					require.True(t, there && strings.Contains(w.Method, "text content"), "%s: %+v", c.Name, w)
					texts++
					continue
				}
				require.True(t, there, "Evidently does not compare %s", c.Name)
				require.Empty(t, c.Untested, c.Name)
				require.Equal(t, w.Method, evidentlyNames[c.Test], c.Name)
				require.Equal(t, w.Threshold, float64(*c.Threshold), c.Name)
				require.True(t, numberAlike(w.Score, float64(*c.Score)), "%s: want %v got %v", c.Name, w.Score, *c.Score)
				compared++
			}
			require.Len(t, want.Columns, compared+texts)
			require.Greater(t, compared, 10)
			t.Logf("%d columns are the same, %d are texts; %d drifted", compared, texts, r.Drifted)
		})
	}
}
