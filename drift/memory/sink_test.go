package memory_test

import (
	"testing"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSink runs the suite of ingest.Sink on the Tap.
func TestSink(t *testing.T) {
	sinktest.Run(t, 100, func(t *testing.T) *sinktest.Store { return tapOn(memory.New()) })
}

func tapOn(store drift.Store) *sinktest.Store {
	fail := func() sinktest.Fault { return sinktest.None }
	faulty := &drifttest.Faulty{Store: store, Fault: func() (bool, bool) {
		f := fail()
		return f == sinktest.Before, f == sinktest.After
	}}
	return &sinktest.Store{
		Open: func(_ testing.TB, v *feature.View, _ *sinktest.Table) (ingest.Sink, ingest.Committer) {
			return drift.NewTap(v, []*feature.Monitor{monitor(v)}, faulty, drift.TapOptions{}), nil
		},
		Visible: func(t testing.TB, v *feature.View) []string {
			return drifttest.Counts(t, store, v.Meta.Project, v.Meta.Name)
		},
		Want: func(v *feature.View, rows []sinktest.Row) []string {
			tally := drifttest.NewTally(v)
			for _, r := range rows {
				tally.Add(r.Event, r.Deleted, r.Values[1:])
			}
			return tally.Lines()
		},
		Shows:   sinktest.Settled,
		Buffers: true,
		Break:   func(f func() sinktest.Fault) { fail = f },
	}
}

func monitor(v *feature.View) *feature.Monitor {
	return &feature.Monitor{Meta: feature.Meta{Project: v.Meta.Project, Name: v.Meta.Name}, View: v.Meta.Name, ViewOf: v, Version: 1, Window: feature.Window{Size: "1h"}}
}
