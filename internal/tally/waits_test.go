package tally_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
)

// counting counts the windows that are read with their profiles.
type counting struct {
	tally.Store[*tallytest.Counted, *tallytest.Share]
	profiles int
}

func (s *counting) Windows(ctx context.Context, q tally.WindowQuery) ([]record, error) {
	out, err := s.Store.Windows(ctx, q)
	if q.Profiles {
		s.profiles += len(out)
	}
	return out, err
}

// While windows wait for what they are compared with, which may take weeks, looks read no profiles; when it is
// there they are judged, early ones too.
func TestWindowsThatWaitAreNotRead(t *testing.T) {
	for _, slide := range []string{"", "10m"} {
		h := newSliding(t, slide, 30*time.Minute, 1)
		h.waits = true
		s := &counting{Store: h.store}
		h.store = s
		h.watch = h.newWatch()
		for _, hour := range strings.Fields("0 1 2 3 4") {
			h.land(strings.ReplaceAll("_.1 _.3 _.4 _.6 _.7 _.9", "_", hour))
			require.NoError(t, h.watch.Pass(bg))
			require.NoError(t, h.watch.Pass(bg))
		}
		require.Zero(t, s.profiles)
		require.Zero(t, h.judged)
		h.waits = false
		require.NoError(t, h.watch.Pass(bg))
		all, err := h.store.Windows(bg, tally.WindowQuery{})
		require.NoError(t, err)
		for _, w := range all[:len(all)-1] {
			require.NotNil(t, w.Verdict)
			require.Equal(t, w.End+hour/2 <= 4*hour+9*hour/10, w.State == tally.Judged)
		}
		require.Nil(t, all[len(all)-1].Verdict)
	}
}

// What waits needs the panes before it, however much has come since.
func TestPanesBeforeWindowsThatWaitAreKept(t *testing.T) {
	h := newSliding(t, "30m", 0, 1)
	h.land("1.1! 1.2! 1.6 1.7")
	require.NoError(t, h.watch.Pass(bg))
	h.waits = true
	h.land("2.1 3.1 4.1 5.1 6.1 7.1 8.1 9.1")
	require.NoError(t, h.watch.Pass(bg))
	h.now = h.now.Add(100 * 24 * time.Hour)
	h.watch = h.newWatch() // forgets profiles
	require.NoError(t, h.watch.Pass(bg))
	h.waits = false
	require.Contains(t, h.look(), "1 judged 2 100%, 1 judged 2 50%, 2 judged 1 0%")
}
