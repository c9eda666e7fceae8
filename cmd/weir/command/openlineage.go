package command

import (
	"encoding/json"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

// printOpenLineage prints the event of the run that made a snapshot.
func (e *env) printOpenLineage(s *weirv1.Snapshot) error {
	c, err := e.load(nil)
	if err != nil {
		return err
	}
	x := feature.Snapshot{ID: s.Id, Project: s.Project, Service: s.Service, ServiceVersion: int(s.ServiceVersion), Rows: s.Rows, CreatedAt: s.CreatedAt}
	for _, t := range s.Tables {
		x.Tables = append(x.Tables, feature.SnapshotTable{View: t.View, ViewVersion: int(t.ViewVersion), Version: t.Version, Tag: t.Tag})
	}
	for _, col := range s.Columns {
		x.Columns = append(x.Columns, feature.SnapshotColumn{Name: col.Name, View: col.View, Type: feature.Type(col.Type), Nulls: col.Nulls})
	}
	b, err := openlineage.Event(x, c.OpenLineage.Namespace)
	if err != nil {
		return err
	}
	return printJSON(e.out, json.RawMessage(b))
}
