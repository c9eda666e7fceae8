package flight

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// The commands of Feast's SDK. A call of its remote offline store is a command {"command_id", "api", and
// the call's arguments}. Since 0.67 it makes those that read as one exchange; before, and for
// those that write, it sends a table by DoPut first. Where a call has no table it sends one with the column "key".

const opFeast = "flight.feast"

// feastCommand is a call of the SDK.
type feastCommand struct {
	API  string
	args map[string]json.RawMessage // null ones are left out
}

func parseFeast(b []byte) (*feastCommand, error) {
	c := &feastCommand{}
	if err := json.Unmarshal(b, &c.args); err != nil {
		return nil, feastInvalid("command", "%w", tidy(err))
	}
	for name, v := range c.args {
		if string(v) == "null" {
			delete(c.args, name)
		}
	}
	return c, c.arg("api", &c.API)
}

func feastInvalid(what, format string, args ...any) *feature.Error {
	return feature.Errorf(feature.Invalid, opFeast, what, format, args...)
}

// arg reads an argument, which may be absent.
func (c *feastCommand) arg(name string, into any) error {
	v, ok := c.args[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(v, into); err != nil {
		return feastInvalid("argument "+name, "%w", tidy(err))
	}
	return nil
}

// only refuses arguments that are not known: they would change the answer.
func (c *feastCommand) only(names ...string) error {
	var strange []string
	for name := range c.args {
		if name != "api" && name != "command_id" && !slices.Contains(names, name) {
			strange = append(strange, name)
		}
	}
	if len(strange) > 0 {
		slices.Sort(strange)
		return feature.Errorf(feature.Unsupported, opFeast, c.API, "this SDK passes arguments that Weir does not know: %v", strange).
			WithHint("leave them out")
	}
	return nil
}

// refused are calls that Weir answers with what it does instead.
var refused = map[string]string{
	"offline_write_batch":             "rows get into a view's table by way of its Kafka topic, or by weir import",
	"write_logged_features":           "publish what was served to a topic of its own, and define a view on it",
	"persist":                         "save what to_df or to_arrow gave; weir snapshot create makes sets that are remembered",
	"pull_latest_from_table_or_query": whereRowsAre,
	"pull_all_from_table_or_query":    whereRowsAre, // what materialize asks for too
}

const whereRowsAre = "Weir keeps the online store up to date by itself, and weir materialize writes it again; " +
	"the rows are in the view's Iceberg table, for DuckDB or pyiceberg, and in weir table rows"

func (c *feastCommand) unsupported() error {
	hint, ok := refused[c.API]
	if !ok {
		hint = "get_historical_features is what it answers"
	}
	return feature.Errorf(feature.Unsupported, opFeast, c.API, "Weir does not do this for Feast's SDK").WithHint("%s", hint)
}

// put answers a call that sends a table and wants nothing back; done is false for
// one that fetches its result afterwards.
func (c *feastCommand) put(in *inbox) (done bool, err error) {
	switch c.API {
	case "get_historical_features", "get_table_column_names_and_types_from_data_source":
		return false, nil
	case "validate_data_source":
		// What feast apply asks about each source. Weir's views have their own, and nothing is read from this one.
		return true, in.drain()
	}
	return true, c.unsupported()
}

// feast answers a call that reads.
func (s *Service) feast(ctx context.Context, c *feastCommand, in *inbox, out arrowflight.DataStreamWriter) error {
	switch c.API {
	case "get_historical_features":
		return s.historical(ctx, c, in, out)
	case "get_table_column_names_and_types_from_data_source":
		return s.feastColumns(ctx, c, in, out)
	}
	return c.unsupported()
}

// feastProject is the project that a Feast repository's views are looked for in: that of
// its name, or the default one where Weir has none of that name.
func feastProject(cat *registry.Catalog, name string) string {
	if slices.Contains(cat.Projects(), name) {
		return name
	}
	return registry.DefaultProject
}

// noSuchView is the error for which the SDK raises its own FeatureViewNotFoundException.
func noSuchView(err error) error {
	detail, merr := json.Marshal(map[string]string{"module": "feast.errors", "class": "FeatureViewNotFoundException", "message": err.Error()})
	if merr != nil {
		return merr
	}
	return status.Error(codes.NotFound, "Flight error: "+string(detail))
}

// feastColumns tells the columns of a source whose name a view of ours has.
func (s *Service) feastColumns(ctx context.Context, c *feastCommand, in *inbox, out arrowflight.DataStreamWriter) error {
	if err := in.drain(); err != nil {
		return err
	}
	var text string
	var source struct{ Name, Project, TimestampField string }
	if err := c.arg("data_source_proto", &text); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &source); err != nil {
		return feastInvalid("argument data_source_proto", "%w", tidy(err))
	}
	cat, err := s.opts.Catalogs.Current(ctx)
	if err != nil {
		return err
	}
	v, err := sourceView(cat, source.Project, source.Name)
	if err != nil {
		return feature.Errorf(feature.NotFound, opFeast, "data source "+source.Name, "%w", err).
			WithHint("give the feature view in Feast a schema, or its source the name of a view in Weir")
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "name", Type: arrow.BinaryTypes.String}, {Name: "type", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	add := func(name string, t arrow.DataType) {
		b.Field(0).(*array.StringBuilder).Append(name)
		b.Field(1).(*array.StringBuilder).Append(arrowName(t))
	}
	for _, f := range slices.Concat(v.Keys, v.Features) {
		add(f.Name, f.Type.Exchange())
	}
	if source.TimestampField != "" {
		add(source.TimestampField, feature.Timestamp.Arrow())
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	w := ipc.NewWriterWithPayloadWriter(&body{to: out}, ipc.WithSchema(schema))
	if err := w.Write(rec); err != nil {
		return err
	}
	return w.Close()
}

// sourceView is the view that a source stands for. The SDK does not always say of
// which project: then it is the only view of the name.
func sourceView(cat *registry.Catalog, project, name string) (*feature.View, error) {
	v, err := cat.View(feastProject(cat, project), name)
	if err == nil || project != "" {
		return v, err
	}
	var found []*feature.View
	for _, v := range cat.Views() {
		if v.Meta.Name == name {
			found = append(found, v)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, err
}

// arrowName is what pyarrow calls a type.
func arrowName(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType:
		return "string"
	case *arrow.Float64Type:
		return "double"
	case *arrow.Float32Type:
		return "float"
	case *arrow.ListType: // the SDK knows no list whose items may not be null
		return "list<item: " + arrowName(t.Elem()) + ">"
	case *arrow.TimestampType:
		return fmt.Sprintf("timestamp[%s, tz=%s]", t.Unit, t.TimeZone)
	}
	return t.Name()
}
