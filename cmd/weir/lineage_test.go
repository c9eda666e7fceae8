package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lineageNode is a node of weir lineage -o json.
type lineageNode struct {
	Kind, Name     string
	Details        []string
	Next, Up, Down []lineageNode
}

// TestLineage: from a model up to the file that its rows came from, and from the topic down to the model; and what is
// in use keeps the version of the table.
func TestLineage(t *testing.T) {
	w, spine := salesWeir(t, 30)
	var s struct {
		ID     string
		Tables []struct{ Tag string }
	}
	w.json(&s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "set.parquet"))
	w.run("import", "--view", "sales", fileOf(t, "later.csv", "id,at,n,y\nz,2026-03-01T00:00:00Z,1,a\n"))
	w.run("model", "register", "churn", "--version", "3", "--snapshot", s.ID, "--alias", "champion")

	var of lineageNode
	w.json(&of, "lineage", "model/churn@3")
	require.Equal(t, "model", of.Kind)
	require.Empty(t, of.Down)
	require.Len(t, of.Up, 1)
	snapshot := of.Up[0]
	require.Equal(t, []string{"snapshot", s.ID, "service", "model@1", "table", "sales@1"},
		[]string{snapshot.Kind, snapshot.Name, snapshot.Next[0].Kind, snapshot.Next[0].Name, snapshot.Next[1].Kind, snapshot.Next[1].Name})
	files := snapshot.Next[1].Next
	require.Len(t, files, 1, "the file that came later is not among them")
	require.Equal(t, "import", files[0].Kind)
	require.Contains(t, files[0].Name, "sales.csv")
	require.Equal(t, []string{"40 rows"}, files[0].Details)

	text := w.run("lineage", "topic/sales", "--down")
	require.Contains(t, text, "used by")
	require.Contains(t, text, "model/churn@3  (champion)")
	require.NotContains(t, text, "made of")
	require.Contains(t, w.run("lineage", "snapshot/"+s.ID), "└─ model/churn@3  (champion)")
	require.Contains(t, w.run("lineage", "source/sales", "--up"), "topic/sales")
	for _, bad := range [][2]string{{"churn", "write it as KIND/NAME"}, {"modl/churn", "there is no such kind"}, {"topic/none", "no source of project default reads it"}} {
		code, _, errs := w.try("lineage", bad[0])
		require.Equal(t, 2, code)
		require.Contains(t, errs, bad[1])
	}

	code, _, errs := w.try("table", "untag", "--view", "sales", s.Tables[0].Tag)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "in use by model churn@3")
	w.run("model", "alias", "churn", "3", "champion", "--delete")
	w.run("model", "delete", "churn", "3")
	w.run("table", "untag", "--view", "sales", s.Tables[0].Tag)
}

// TestOpenLineage: the server that is set is told of a training set what weir snapshot show prints, once it answers again.
func TestOpenLineage(t *testing.T) {
	told := make(chan []byte, 100)
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if len(told) == 0 {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
		told <- b
	}))
	defer web.Close()
	c := testConfig(t)
	c.OpenLineage.URL = web.URL + "/api/v1/lineage"
	w := start(t, c)
	spine := salesRows(w, 20)
	var s struct{ ID string }
	w.json(&s, "snapshot", "create", "--service", "model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "set.parquet"))
	require.Eventually(t, func() bool {
		return strings.Contains(w.run("events", "list", "--type", "io.weir.snapshot.created.v1", "--state", "delivered"), "snapshot@"+s.ID)
	}, 30*time.Second, 20*time.Millisecond)
	require.GreaterOrEqual(t, len(told), 2)
	refused, sent := <-told, <-told
	require.Equal(t, string(refused), string(sent))
	require.JSONEq(t, string(sent), w.run("snapshot", "show", s.ID, "-o", "openlineage"))
	require.Contains(t, string(sent), `"rowCount":20`)
	code, _, errs := w.try("snapshot", "list", "-o", "openlineage")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "use table or json")
}
