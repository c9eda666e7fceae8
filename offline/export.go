package offline

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// An export is what the online store would answer for every entity at one moment,
// as rows: the batch half of inference. It is the join of a spine that the tables
// themselves give, each entity at that moment, so that training, serving and
// batch scoring cannot disagree.

// ExportRequest asks for the newest values of a whole service.
type ExportRequest struct {
	Service *feature.Service // resolved
	Tables  []TableAt        // one for each of Service.Views; the zero Version is the newest
	At      int64            // the moment, microseconds UTC: rows that became known later do not count
	// Entities are the join keys to export, and columns to be carried along; they may
	// not have a column named TimeColumn. Nil exports all entities of the tables: the
	// keys of those views that join by all of the service's keys, but for deleted ones.
	Entities   RowReader
	TimeColumn string // gets At in every row; DefaultTimeColumn when empty
	// Begin hears the schema of what will come before the first batch; may be nil.
	Begin    func(*arrow.Schema) error
	Progress func(done, total int64) // as in JoinRequest
	Joins    *Joins                  // as in JoinRequest
	Memory   int64
	Workers  int

	most int // entities to look for at once; exportEntities when 0
}

const opExport = "offline.export"

// Export gives sink a row for each entity: its keys (or the columns of Entities),
// the time column, the service's features. All tables are read at the versions
// they have at the beginning. Entities of the tables come in the order of their
// keys' bytes.
func Export(ctx context.Context, req ExportRequest, sink func(arrow.RecordBatch) error) (JoinResult, error) {
	if req.TimeColumn == "" {
		req.TimeColumn = DefaultTimeColumn
	}
	if len(req.Tables) != len(req.Service.Views) {
		return JoinResult{}, feature.Errorf(feature.Internal, opExport, "service "+req.Service.Meta.Name, "%d tables for %d views", len(req.Tables), len(req.Service.Views))
	}
	if req.At == 0 {
		return JoinResult{}, feature.Errorf(feature.Invalid, opExport, "service "+req.Service.Meta.Name, "no moment is given")
	}
	for _, c := range req.Service.Columns {
		if c.Name == req.TimeColumn {
			return JoinResult{}, feature.Errorf(feature.Invalid, opExport, "time column "+c.Name, "service %s has a feature of this name", req.Service.Meta.Name).
				WithHint("give the time column another name (--time-column)")
		}
	}
	tables, err := pinned(ctx, req.Tables)
	if err != nil {
		return JoinResult{}, err
	}
	var rows RowReader
	if req.Entities != nil {
		rows, err = newTimed(req.Entities, req.TimeColumn, req.At)
	} else {
		rows, err = newEntities(ctx, req, tables)
	}
	if err != nil {
		return JoinResult{}, err
	}
	spine := Spine{Rows: rows, Time: req.TimeColumn}
	schema, err := JoinSchema(req.Service, spine)
	if err != nil {
		return JoinResult{}, err
	}
	if req.Begin != nil {
		if err := req.Begin(schema); err != nil {
			return JoinResult{}, err
		}
	}
	return Join(ctx, JoinRequest{Service: req.Service, Tables: tables, Spine: spine, Clock: feature.KnownClock,
		Progress: req.Progress, Joins: req.Joins, Memory: req.Memory, Workers: req.Workers}, sink)
}

// pinned settles which snapshot of each table is read.
func pinned(ctx context.Context, tables []TableAt) ([]TableAt, error) {
	out := slices.Clone(tables)
	for i, t := range out {
		st, err := t.Table.Load(ctx, t.Version)
		if err != nil {
			return nil, err
		}
		out[i].Version = Version{Snapshot: st.Snapshot}
		if st.Snapshot == 0 {
			out[i] = TableAt{Table: emptyAt{t.Table}} // rows that land from now on do not count
		}
	}
	return out, nil
}

// exportKeys finds the views whose rows tell which entities there are: those that
// join by all keys of the service. Of a view of customers and one of (customer,
// product) the second does.
func exportKeys(s *feature.Service) (keys []feature.Field, full []int, err error) {
	for i, v := range s.Views {
		if len(v.Keys) > len(keys) {
			keys, full = v.Keys, nil
		}
		if len(v.Keys) == len(keys) && within(v.Keys, keys) {
			full = append(full, i)
		}
	}
	for _, v := range s.Views {
		if !within(v.Keys, keys) {
			return nil, nil, feature.Errorf(feature.Invalid, opExport, "service "+s.Meta.Name,
				"no view has all of its join keys (view %s joins by %s, view %s by %s), so that the tables do not tell which of them belong together",
				s.Views[full[0]].Meta.Name, keyNames(keys), v.Meta.Name, keyNames(v.Keys)).
				WithHint("give a file with the entities to export: --entities")
		}
	}
	return keys, full, nil
}

func within(some, all []feature.Field) bool {
	for _, k := range some {
		if !slices.ContainsFunc(all, func(x feature.Field) bool { return x.Name == k.Name }) {
			return false
		}
	}
	return true
}

func keyNames(keys []feature.Field) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}
