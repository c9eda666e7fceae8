package openlineage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/weir-ml/weir/registry/feature"
)

// The parts of OpenLineage's schema that an event has.
const (
	producer  = "https://github.com/weir-ml/weir"
	eventURL  = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	facetsURL = "https://openlineage.io/spec/facets/"
)

type runEvent struct {
	EventType string    `json:"eventType"`
	EventTime string    `json:"eventTime"`
	Producer  string    `json:"producer"`
	SchemaURL string    `json:"schemaURL"`
	Run       run       `json:"run"`
	Job       job       `json:"job"`
	Inputs    []dataset `json:"inputs"`
	Outputs   []dataset `json:"outputs"`
}

type run struct {
	ID string `json:"runId"`
}

type job struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type dataset struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Facets    map[string]facet `json:"facets"`
	Output    map[string]facet `json:"outputFacets,omitempty"`
}

type facet map[string]any

func facetOf(schema string, fields facet) facet {
	fields["_producer"], fields["_schemaURL"] = producer, facetsURL+schema
	return fields
}

// runs is the name space of run ids.
var runs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:io.weir:openlineage:snapshot"))

// RunID is the id of the run that made a snapshot: always the same.
func RunID(snapshot string) string { return uuid.NewSHA1(runs, []byte(snapshot)).String() }

// Event is the COMPLETE event of the run that made a snapshot, as JSON: its inputs are the tables, at the versions
// that were read, its output is the training set.
func Event(s feature.Snapshot, namespace string) ([]byte, error) {
	e := runEvent{
		EventType: "COMPLETE", EventTime: feature.Time(s.CreatedAt).Format(time.RFC3339Nano), Producer: producer, SchemaURL: eventURL,
		Run: run{RunID(s.ID)}, Job: job{namespace, s.Project + ".snapshot." + s.Service}, Inputs: []dataset{},
	}
	fields := func(view string) []facet {
		out := []facet{}
		for _, c := range s.Columns {
			if view == "" || c.View == view {
				out = append(out, facet{"name": c.Name, "type": c.Type.String()})
			}
		}
		return out
	}
	schema := func(f []facet) facet {
		return facetOf("1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet", facet{"fields": f})
	}
	version := func(v string) facet {
		return facetOf("1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet", facet{"datasetVersion": v})
	}
	for _, t := range s.Tables {
		e.Inputs = append(e.Inputs, dataset{Namespace: namespace, Name: s.Project + "." + t.View, Facets: map[string]facet{
			"version": version(strconv.FormatInt(t.Version, 10)), "schema": schema(fields(t.View)),
		}})
	}
	e.Outputs = []dataset{{Namespace: namespace, Name: s.Project + ".trainingset." + s.ID, Facets: map[string]facet{
		"schema": schema(fields("")), "version": version(s.ID),
		"dataSource": facetOf("1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
			facet{"name": fmt.Sprintf("service %s@%d", s.Service, s.ServiceVersion), "uri": "weir://" + s.Project + "/services/" + s.Service}),
	}, Output: map[string]facet{
		"outputStatistics": facetOf("1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet", facet{"rowCount": s.Rows}),
	}}}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "openlineage.event", "snapshot "+s.ID, "%w", err)
	}
	return b, nil
}
