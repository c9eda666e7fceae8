package feature_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func TestMask(t *testing.T) {
	v := &feature.View{
		Features: []feature.Field{{Name: "email", Path: "user.mail"}, {Name: "age"}, {Name: "card", Path: "payment.card.number"}, {Name: "tags"}},
		Keys:     []feature.Field{{Name: "id", Path: "user.id"}},
		SourceOf: &feature.Source{EventTime: feature.TimeField{Field: "at"}},
		Quality:  &feature.Quality{Mask: []string{"email", "payment.card", "items[].note", "tags"}},
	}
	m := v.Mask()
	for path, want := range map[string]bool{
		"email": true, "user.mail": true, "user.mail.domain": true, "user": true, "user.id": false, "user.mailbox": false, "": true, "age": false, "id": false,
		"card": true, "payment": true, "payment.card": true, "payment.card.number": true, "payment.cardinal": false,
		"items": true, "items[3].note": true, "items[3].price": false, "items[3]": true, "tags[4]": true, "tagsy": false, "age,email": true, "age,id": false,
	} {
		require.Equal(t, want, m.Hides(path), path)
	}
	rs := []feature.Reason{{Rule: "schema.type", Path: "user.mail", Value: "12"}, {Rule: "schema.required", Path: "email"}, {Rule: "decode", Path: "age", Value: "x"}, {Rule: "decode", Value: `{"user":`}}
	got := m.Reasons(rs)
	require.Equal(t, []feature.Reason{{Rule: "schema.type", Path: "user.mail", Value: feature.Masked}, {Rule: "schema.required", Path: "email"}, {Rule: "decode", Path: "age", Value: "x"},
		{Rule: "decode", Value: feature.Masked}}, got)
	require.Equal(t, "12", rs[0].Value, "the reasons that were given stay as they are")

	v.Quality.Mask = []string{"at"}
	future := []feature.Reason{{Rule: feature.RuleFuture, Path: "(record timestamp)", Value: "2030-01-01T00:00:00Z", Expected: "at most 1h0m0s after 2029-01-01T00:00:00Z"}}
	got = v.Mask().Reasons(future)
	require.Equal(t, feature.Masked, got[0].Value)
	require.NotContains(t, got[0].Expected, "2029")

	v.Quality.Mask = nil
	require.Nil(t, v.Mask())
	require.False(t, v.Mask().Hides(""))
	require.Equal(t, rs, v.Mask().Reasons(rs))
	require.Empty(t, v.Mask().Reasons(nil))
	v.Quality = nil
	require.Nil(t, v.Mask())
}
