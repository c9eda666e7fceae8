package schemaregistry_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/weir-ml/weir/ingest/schemaregistry"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

func open(t *testing.T, f *srfake.Registry, change ...func(*schemaregistry.Config)) *schemaregistry.Registry {
	t.Helper()
	c := schemaregistry.DefaultConfig()
	c.URLs = []string{f.URL()}
	for _, ch := range change {
		ch(&c)
	}
	require.NoError(t, c.Validate())
	r, err := schemaregistry.Open(c)
	require.NoError(t, err)
	return r
}

// TestSchema: a schema with what it uses, each after what it uses itself, and its subjects.
func TestSchema(t *testing.T) {
	f := srfake.New()
	defer f.Close()
	ref := func(subject string) sr.SchemaReference {
		return sr.SchemaReference{Name: subject, Subject: subject, Version: 1}
	}
	f.SeedSchema("inner", 1, 7, sr.Schema{Schema: `{"type":"enum","name":"Inner","symbols":["A"]}`})
	f.SeedSchema("mid", 1, 8, sr.Schema{Schema: `{"type":"record","name":"Mid","fields":[{"name":"i","type":"Inner"}]}`, References: []sr.SchemaReference{ref("inner")}})
	f.SeedSchema("top-value", 1, 9, sr.Schema{Schema: `{"type":"record","name":"Top","fields":[{"name":"m","type":"Mid"},{"name":"i","type":"Inner"}]}`, References: []sr.SchemaReference{ref("mid"), ref("inner")}})
	r := open(t, f)
	s, err := r.Schema(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, "avro", s.Type)
	require.Equal(t, []string{"top-value"}, s.Subjects)
	require.Len(t, s.References, 2)
	require.Equal(t, "inner", s.References[0].Name)
	require.Equal(t, "mid", s.References[1].Name)
	require.Contains(t, s.Text, "Top")
}

// TestAbsence: only the registry's own word is an absence.
func TestAbsence(t *testing.T) {
	f := srfake.New()
	defer f.Close()
	r := open(t, f)
	_, err := r.Schema(t.Context(), 1)
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)

	f.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "nobody is here", http.StatusNotFound) // a proxy, not the registry
		return true
	})
	_, err = r.Schema(t.Context(), 1)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)

	away := srfake.New()
	r = open(t, away)
	away.Close()
	_, err = r.Schema(t.Context(), 1)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
}

func TestPassword(t *testing.T) {
	f := srfake.New(srfake.WithAuth("Basic dTpw"))
	defer f.Close()
	f.SeedSchema("s", 1, 1, sr.Schema{Schema: `"int"`})
	_, err := open(t, f).Schema(t.Context(), 1)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	_, err = open(t, f, func(c *schemaregistry.Config) { c.User, c.Password = "u", secret.Text("p") }).Schema(t.Context(), 1)
	require.NoError(t, err)
}

func TestConfig(t *testing.T) {
	c := schemaregistry.Config{URLs: []string{"x", "http://u:p@h"}, User: "u"}
	err := c.Validate()
	for _, part := range []string{"http://host:port", "must not hold a password", "set both", "timeout"} {
		require.ErrorContains(t, err, part)
	}
	require.NoError(t, schemaregistry.DefaultConfig().Validate())
}
