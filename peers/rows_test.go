//go:build peers

package peers

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// read gives the rows of a version as engines/values.py writes them.
func read(t testing.TB, tb offline.Table, v offline.Version) []string {
	t.Helper()
	var out []string
	require.NoError(t, offline.Scan(context.Background(), tb, offline.ScanOptions{Version: v}, func(b *feature.Batch) error {
		out = append(out, lines(b)...)
		return nil
	}))
	return out
}

func lines(b *feature.Batch) []string {
	out := make([]string, b.Len())
	for i := range out {
		cells := []string{
			offline.ColEffective + "=t" + strconv.FormatInt(min(b.EventTime[i], b.KnownTime[i]), 10),
			offline.ColEvent + "=t" + strconv.FormatInt(b.EventTime[i], 10),
			offline.ColKnown + "=t" + strconv.FormatInt(b.KnownTime[i], 10),
			offline.ColTopicID + "=x" + hex.EncodeToString(b.Origin.TopicID[:]),
			offline.ColPartition + "=" + strconv.Itoa(int(b.Origin.Partition)),
			offline.ColOffset + "=" + strconv.FormatInt(b.Offsets[i], 10),
			offline.ColTombstone + "=" + strconv.FormatBool(b.Deleted(i)),
		}
		for ci, c := range b.View.Columns() {
			cells = append(cells, c.Name+"="+textOf(c.Type, b.Rows.Column(ci), i))
		}
		slices.SortFunc(cells, func(a, b string) int { return strings.Compare(name(a), name(b)) })
		out[i] = strings.Join(cells, " ")
	}
	return out
}

func name(cell string) string { n, _, _ := strings.Cut(cell, "="); return n }

// textOf is text for a feature, which may be an array.
func textOf(t feature.Type, a arrow.Array, i int) string {
	if !t.IsArray() || a.IsNull(i) {
		return text(a, i)
	}
	lists, err := feature.ToLists(t, array.NewSlice(a, int64(i), int64(i+1)).(*array.Binary))
	if err != nil {
		panic(err)
	}
	var elements []string
	elems := lists.(array.ListLike).ListValues()
	for k := range elems.Len() {
		elements = append(elements, text(elems, k))
	}
	return "[" + strings.Join(elements, ",") + "]"
}

func text(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	float := func(x float64) string {
		if math.IsNaN(x) {
			return "nan"
		}
		return fmt.Sprintf("%016x", math.Float64bits(x))
	}
	switch a := a.(type) {
	case *array.Boolean:
		return strconv.FormatBool(a.Value(i))
	case *array.Int32:
		return strconv.Itoa(int(a.Value(i)))
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Float32:
		return float(float64(a.Value(i)))
	case *array.Float64:
		return float(a.Value(i))
	case *array.String:
		return `"` + a.Value(i) + `"`
	case *array.Binary:
		return "x" + hex.EncodeToString(a.Value(i))
	case *array.Timestamp:
		return "t" + strconv.FormatInt(int64(a.Value(i)), 10)
	}
	panic("no text for " + a.DataType().String())
}

// same compares rows in any order.
func same(t testing.TB, want, got []string, who string) {
	t.Helper()
	want, got = slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if slices.Equal(want, got) {
		return
	}
	require.Equal(t, len(want), len(got), "%s: rows", who)
	for i := range want {
		require.Equal(t, want[i], got[i], "%s: row %d in order", who, i)
	}
}
