package drift_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

// readings counts the verdicts that were read of a store.
type readings struct {
	drift.Store
	verdicts int
}

func (s *readings) Windows(ctx context.Context, q drift.WindowQuery) ([]drift.WindowRecord, error) {
	all, err := s.Store.Windows(ctx, q)
	for i := range all {
		if all[i].Verdict != nil {
			s.verdicts++
		}
	}
	return all, err
}

// A monitor has a window a minute, for years. Who asks how it stands reads the verdict of one, and a look of the
// watch none of those that it gave.
func TestVerdictsAreReadOfWhatIsShown(t *testing.T) {
	for name, window := range map[string]feature.Window{
		"tumbling": {Size: "1h", Lateness: feature.Duration(3 * time.Hour)}, "sliding": {Size: "1h", Slide: "20m"}, "rows": {Size: "20m", Rows: 500},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, func(m *feature.Monitor) { m.Window = window })
			for w := range int64(30) {
				h.flush(1, one(h.rows(w, 600, 0)))
				require.NoError(t, h.watch.Pass(bg))
			}
			all, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
			require.NoError(t, err)
			want := drift.Status{Project: "p", Monitor: "m_1h", View: "v", Size: window.Name()}
			for i := range all {
				switch all[i].State {
				case drift.Open:
					want.Open++
				case drift.Closed:
					want.Waiting++
				default:
					want.Judged++
				}
				if all[i].Verdict != nil {
					want.Last = &all[i].WindowRecord
				}
			}
			require.Greater(t, want.Judged, 15)

			s := &readings{Store: h.store}
			r := drift.NewReader(s)
			got, err := r.Status(bg, []*feature.Monitor{h.mon})
			require.NoError(t, err)
			require.Equal(t, []drift.Status{want}, got)
			panes := window.Panes()
			require.LessOrEqual(t, s.verdicts, panes, "of the last window and its panes")

			s.verdicts = 0
			newest, err := r.Windows(bg, h.mon, 2)
			require.NoError(t, err)
			require.Equal(t, all[len(all)-2:], newest)
			require.LessOrEqual(t, s.verdicts, 2+panes)

			s.verdicts = 0
			_, err = r.Profiled(bg, h.mon, 0)
			require.NoError(t, err)
			require.Zero(t, s.verdicts)

			h.store = s
			h.watch = h.newWatch()
			require.NoError(t, h.watch.Pass(bg), "the first looks for windows that nothing watches, too")
			s.verdicts = 0
			require.NoError(t, h.watch.Pass(bg))
			require.Zero(t, s.verdicts, "nothing has come since")
		})
	}
}
