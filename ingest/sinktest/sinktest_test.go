package sinktest_test

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

func print(_ *feature.View, rows []sinktest.Row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r))
	}
	return out
}

// The table that other tests rely on keeps the contract itself.
func TestWriter(t *testing.T) {
	sinktest.Run(t, 200, func(t *testing.T) *sinktest.Store {
		tables, rollbacks := map[string]*sinktest.Table{}, 0
		return &sinktest.Store{
			Open: func(_ testing.TB, v *feature.View, _ *sinktest.Table) (ingest.Sink, ingest.Committer) {
				if tables[v.ID()] == nil {
					tables[v.ID()] = &sinktest.Table{}
				}
				w := tables[v.ID()].Open()
				return w, w
			},
			Visible: func(_ testing.TB, v *feature.View) []string { return print(v, tables[v.ID()].Rows()) },
			Want:    print,
			Rollback: func(_ testing.TB, v *feature.View, commits int) {
				rollbacks++
				tables[v.ID()].Rollback(commits, fmt.Sprint("rollback-", rollbacks))
			},
			Shows:   sinktest.Committed,
			Buffers: true,
		}
	})
}

func TestBatchOf(t *testing.T) {
	v := sinktest.View("things")
	rows := []sinktest.Row{
		{TopicID: sinktest.TopicID, Partition: 2, Offset: 5, Event: 7, Known: 8, Values: []string{"a", "0.125", "null", "12", "true", "2026-01-05T00:00:00.000007Z", "AWEA"}},
		{TopicID: sinktest.TopicID, Partition: 2, Offset: 7, Event: 9, Known: 9, Deleted: true, Values: []string{"b", "null", "null", "null", "null", "null", "null"}},
	}
	b := sinktest.BatchOf(v, memory.DefaultAllocator, rows, 3, 9)
	defer b.Rows.Release()
	require.Equal(t, rows, sinktest.RowsOf(b))
	require.Equal(t, []int64{3, 9}, []int64{b.Origin.First, b.Origin.Next})
}
