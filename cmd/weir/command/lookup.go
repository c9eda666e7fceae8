package command

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) lookup() *cobra.Command {
	var service, request string
	var features, entities []string
	c := &cobra.Command{
		Use:   "lookup --service S --entity key=value ...",
		Short: "What an inference server would get",
		Long: `Looks up the newest values of a service (or of --features) for one or more entities.

--entity gives a join key; give it once for each key of an entity, and repeat
all keys for more entities: --entity origin=EWR --entity origin=JFK`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cols, err := entityColumns(entities)
			if err != nil {
				return err
			}
			req := &weirv1.LookupRequest{Entities: cols, IncludeStatuses: true, IncludeEventTimes: true, RequestId: request}
			switch {
			case service != "" && len(features) > 0:
				return fmt.Errorf("give --service or --features, not both")
			case service != "":
				req.What = &weirv1.LookupRequest_Service{Service: service}
			case len(features) > 0:
				req.What = &weirv1.LookupRequest_Features{Features: &weirv1.FeatureList{Refs: features}}
			default:
				return fmt.Errorf("give --service NAME, or --features with view:feature")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				req.Project = c.project
				r, err := c.features.Lookup(ctx, req)
				if err != nil {
					return err
				}
				return e.showLookup(cols, r)
			})
		},
	}
	c.Flags().StringVar(&service, "service", "", "feature service")
	c.Flags().StringSliceVar(&features, "features", nil, "features, as view:feature or view:*")
	c.Flags().StringArrayVar(&entities, "entity", nil, "join key, as key=value; may be repeated")
	c.Flags().StringVar(&request, "request-id", "", "your name of the inference, for the log of answers (setting: serving.log)")
	return c
}

// entityColumns turns key=value pairs into columns; the server reads the texts
// as the types of the join keys.
func entityColumns(pairs []string) ([]*weirv1.EntityColumn, error) {
	if len(pairs) == 0 {
		return nil, fmt.Errorf("give --entity key=value")
	}
	var order []string
	values := map[string][]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("--entity %s: write it as key=value", p)
		}
		if _, ok := values[k]; !ok {
			order = append(order, k)
		}
		values[k] = append(values[k], v)
	}
	var cols []*weirv1.EntityColumn
	for _, k := range order {
		if len(values[k]) != len(values[order[0]]) {
			return nil, fmt.Errorf("--entity: %s is given %d times, %s %d times; give every key for every entity", order[0], len(values[order[0]]), k, len(values[k]))
		}
		cols = append(cols, &weirv1.EntityColumn{Name: k, Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: values[k]}}}})
	}
	return cols, nil
}

func statusName(s weirv1.Status) string { return strings.TrimPrefix(s.String(), "STATUS_") }

// lookupRow is one entity of a lookup, in JSON.
type lookupRow struct {
	Entity     map[string]string `json:"entity"`
	Features   map[string]any    `json:"features"`
	Statuses   map[string]string `json:"statuses"`    // by view
	EventTimes map[string]string `json:"event_times"` // by view
}

func lookupRows(cols []*weirv1.EntityColumn, r *weirv1.LookupResponse) []lookupRow {
	out := make([]lookupRow, r.Rows)
	for i := range out {
		row := lookupRow{map[string]string{}, map[string]any{}, map[string]string{}, map[string]string{}}
		for _, c := range cols {
			row.Entity[c.Name] = c.Values.GetStrings().Values[i]
		}
		for _, c := range r.Columns {
			row.Features[c.Name] = value(c, i)
		}
		for _, v := range r.Views {
			row.Statuses[v.View] = statusName(v.Statuses[i])
			if v.EventTimes[i] != 0 {
				row.EventTimes[v.View] = when(v.EventTimes[i])
			}
		}
		out[i] = row
	}
	return out
}

func (e *env) showLookup(cols []*weirv1.EntityColumn, r *weirv1.LookupResponse) error {
	rows := lookupRows(cols, r)
	if e.output == "json" {
		return printJSON(e.out, map[string]any{"rows": rows, "catalog_revision": r.CatalogRevision, "partial": r.Partial})
	}
	for i, row := range rows {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		var key []string
		for _, c := range cols {
			key = append(key, c.Name+"="+row.Entity[c.Name])
		}
		t := newTable(e.out, strings.Join(key, " "), "value", "view", "status", "event time")
		for _, c := range r.Columns {
			v := r.Views[c.View]
			shown := row.Features[c.Name]
			switch x := shown.(type) {
			case nil:
				shown = "null"
			case []any:
				text, err := json.Marshal(x)
				if err != nil {
					return err
				}
				shown = string(text)
			}
			t.AppendRow([]any{c.Name, shown, v.View, row.Statuses[v.View], when(v.EventTimes[i])})
		}
		t.Render()
	}
	return nil
}

// value is one value of a column as JSON shows it; nil where it is null.
func value(c *weirv1.FeatureColumn, i int) any {
	if len(c.Validity) > 0 && c.Validity[i/8]>>(i%8)&1 == 0 {
		return nil
	}
	if a := c.Values.GetArrays(); a != nil {
		from := 0
		for _, n := range a.Lengths[:i] {
			from += int(n)
		}
		list := make([]any, a.Lengths[i])
		for k := range list {
			list[k] = scalar(a.Elements, from+k)
		}
		return list
	}
	return scalar(c.Values, i)
}

func scalar(values *weirv1.Values, i int) any {
	switch v := values.Kind.(type) {
	case *weirv1.Values_Bools:
		return v.Bools.Values[i]
	case *weirv1.Values_Int32S:
		return v.Int32S.Values[i]
	case *weirv1.Values_Int64S:
		return v.Int64S.Values[i]
	case *weirv1.Values_Floats:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v.Floats.Values[i]), 'g', -1, 32), 64)
		return f
	case *weirv1.Values_Doubles:
		return v.Doubles.Values[i]
	case *weirv1.Values_Strings:
		return v.Strings.Values[i]
	case *weirv1.Values_Bytes:
		return base64.StdEncoding.EncodeToString(v.Bytes.Values[i])
	case *weirv1.Values_Timestamps:
		return time.UnixMicro(v.Timestamps.Micros[i]).UTC().Format(time.RFC3339Nano)
	}
	return nil
}
