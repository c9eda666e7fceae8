package sqlstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/internal/tally"
	tallysql "github.com/weir-ml/weir/internal/tally/sqlstore"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/quality"
	"github.com/weir-ml/weir/validate/quality/qualitytest"
	"github.com/weir-ml/weir/validate/quality/sqlstore"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func open(t *testing.T, url string) (*sqlstore.Clocks, quality.Store) {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	c, err := sqlstore.New(ctx, db)
	require.NoError(t, err)
	s, err := tallysql.New[*expect.WindowTally, *quality.Verdict](ctx, db, tallysql.Quality, expect.DecodeWindow)
	require.NoError(t, err)
	return c, s
}

func TestStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		url := newURL(t) // one for both, for it takes longer than they do
		c, _ := open(t, url)
		qualitytest.Clocks(t, c)
		oneAlert(t, url)
	})
}

// oneAlert: several processes look at one stopped stream at once; one of them tells, once.
func oneAlert(t *testing.T, url string) {
	ctx := context.Background()
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}, Quality: &feature.Quality{Freshness: feature.Duration(time.Minute), MaxRejectRate: 0.1}}
	var now time.Time
	var rules []*quality.Rules
	var alerts []*quality.Alerts
	var store quality.Store
	for range 4 {
		c, s := open(t, url)
		store = s
		a := quality.NewAlerts(s, quality.AlertOptions{Route: outbox.To("kafka"), Now: func() time.Time { return now }})
		alerts = append(alerts, a)
		rules = append(rules, quality.NewRules(s, c, a, func(context.Context) ([]*feature.View, error) { return []*feature.View{v}, nil },
			quality.RuleOptions{Now: func() time.Time { return now }}))
	}
	all := func(do func(i int) error) {
		var wg sync.WaitGroup
		errs := make([]error, len(rules))
		for i := range rules {
			wg.Go(func() { errs[i] = do(i) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	for s := range 64 {
		now = time.Date(2026, 11, 20, 9, 0, s, 0, time.UTC)
		if s > 57 || s%10 == 0 {
			all(func(i int) error { return rules[i].Pass(ctx) })
		}
	}
	for round := range 3 {
		all(func(i int) error {
			return alerts[i].Alert(ctx, quality.Alert{Project: "p", View: "v", Rule: quality.RejectRate, Firing: round%2 == 0, Since: now, Reason: fmt.Sprint(i)})
		})
	}
	evs, err := store.Events(ctx, tally.EventQuery{})
	require.NoError(t, err)
	var types []string
	for _, e := range evs {
		types = append(types, e.Type)
	}
	require.Equal(t, []string{"io.weir.view.paused.v1", "io.weir.view.resumed.v1", "io.weir.view.paused.v1", "io.weir.freshness.stale.v1"}, types)
}
