package profile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// of profiles one column of texts.
func of(t *testing.T, o Options, texts ...string) *Proposal {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(texts, nil)
	p := New(schema, []feature.Type{feature.String}, o)
	require.NoError(t, p.Add(array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(len(texts)))))
	return p.Propose()
}

// kwarg is that of the first rule of a type, nil where it is not proposed.
func kwarg(p *Proposal, typ, name string) any {
	for _, r := range p.Rules {
		if r.Type != typ {
			continue
		}
		for _, k := range r.Kwargs {
			if k.Name == name {
				return k.Value
			}
		}
	}
	return nil
}

func many(n int, text func(i int) string) (out []string) {
	for i := range n {
		out = append(out, text(i))
	}
	return out
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		text            func(i int) string
		regex, strftime any
	}{
		{func(i int) string { return fmt.Sprintf("%04d-ABC", i) }, `^[0-9]{4}-[A-Z]{3}$`, nil},
		{func(i int) string { return fmt.Sprintf("a.b+%d", i) }, `^[a-z]\.[a-z]\+[0-9]{1,3}$`, nil},
		{func(i int) string { return fmt.Sprintf("u%d@example.com", i) }, emailRegex, nil},
		{func(i int) string { return fmt.Sprintf("https://example.com/%d", i) }, urlRegex, nil},
		{func(i int) string { return fmt.Sprintf("10.0.%d.%d", i/100, i%100) }, ipRegex, nil},
		{func(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", i*7919, i) }, uuidRegex, nil},
		{func(i int) string { return fmt.Sprintf("20%02d-%02d-%02d", i%90, 1+i%12, 1+i%28) }, nil, "%Y-%m-%d"},
		{func(i int) string { return fmt.Sprintf("%02d.%02d.20%02d", 1+i%28, 1+i%12, i%90) }, nil, "%d.%m.%Y"},
		{func(i int) string { return strings.Repeat("ß", 1+i) }, nil, nil},
		{func(i int) string { return strings.Repeat("a b", 1+i) }, nil, nil},
	} {
		p := of(t, Options{}, many(200, c.text)...)
		require.Equal(t, c.regex, kwarg(p, "expect_column_values_to_match_regex", "regex"), c.text(17))
		require.Equal(t, c.strftime, kwarg(p, "expect_column_values_to_match_strftime_format", "strftime_format"), c.text(17))
	}
}

// TestUniqueness: all values differ, one comes twice late, and too many to tell.
func TestUniqueness(t *testing.T) {
	texts := many(5000, func(i int) string { return fmt.Sprint("k", i) })
	unique := func(p *Proposal) bool { return kwarg(p, "expect_column_values_to_be_unique", "column") != nil }
	require.True(t, unique(of(t, Options{}, texts...)))
	require.False(t, unique(of(t, Options{}, append(texts, "k0")...)))
	p := of(t, Options{Memory: 4096}, texts...)
	require.False(t, unique(p))
	require.Contains(t, p.Columns[0].About, "too many values to tell whether all differ")
}

func TestRounding(t *testing.T) {
	for _, c := range []struct{ v, down, up float64 }{{118.75, 118, 119}, {-0.012345, -0.0124, -0.0123}, {0.3, 0.3, 0.3}, {0, 0, 0}, {123456, 123000, 124000}, {5e-324, 5e-324, 5e-324}} {
		require.LessOrEqual(t, outward(c.v, -1), c.v)
		require.GreaterOrEqual(t, outward(c.v, 1), c.v)
		require.InDelta(t, c.down, outward(c.v, -1), 1e-9)
		require.InDelta(t, c.up, outward(c.v, 1), 1e-9)
	}
	for _, c := range []struct{ v, down, up int64 }{{72, 72, 72}, {-1234, -1240, -1230}, {9223372036854775807, 9220000000000000000, 9223372036854775807}, {-9223372036854775808, -9223372036854775808, -9220000000000000000}} {
		require.Equal(t, c.down, outwardInt(c.v, -1))
		require.Equal(t, c.up, outwardInt(c.v, 1))
	}
}
