package feature_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// TestOneFieldTwoFormats: no event could satisfy a source that reads one field
// as its event time in one format and as its known time in another.
func TestOneFieldTwoFormats(t *testing.T) {
	s := &feature.Source{Meta: feature.Meta{Project: "p", Name: "s"}, Topic: "t", EventTime: feature.TimeField{Field: "at"}}
	for _, c := range []struct {
		created feature.TimeField
		faults  int
	}{
		{feature.TimeField{Field: "at"}, 0},
		{feature.TimeField{Field: "at", Format: "rfc3339"}, 0},
		{feature.TimeField{Field: "made", Format: "naive"}, 0},
		{feature.TimeField{Field: "at", Format: "naive"}, 1},
		{feature.TimeField{Field: "at", Format: "unix_s"}, 1},
	} {
		s.Created = &c.created
		faults := s.Check()
		require.Len(t, faults, c.faults, "%+v: %v", c.created, faults)
		if c.faults > 0 {
			require.Equal(t, "spec.created.format", faults[0].Field)
			require.Contains(t, faults[0].Msg, `field "at" is the event time too, as rfc3339`)
		}
	}
}

// TestCompatibilityOfJSON: a source in JSON may ask of its schema what others ask of theirs.
func TestCompatibilityOfJSON(t *testing.T) {
	s := &feature.Source{Meta: feature.Meta{Project: "p", Name: "s"}, Topic: "t", EventTime: feature.TimeField{Field: "at"}}
	for _, c := range feature.Compatibilities {
		s.Compatibility = c
		require.Empty(t, s.Check(), c)
	}
	s.Compatibility = "sideways"
	faults := s.Check()
	require.Len(t, faults, 1)
	require.Equal(t, "spec.compatibility", faults[0].Field)
}
