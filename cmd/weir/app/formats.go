package app

import (
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/schemaregistry"
	"github.com/weir-ml/weir/registry/feature"
)

// formatsOf makes what reads events that are not plain JSON.
func formatsOf(c Config) (*format.Formats, error) {
	if len(c.SchemaRegistry.URLs) == 0 {
		return format.New(nil, c.Ingest.MaxEventBytes), nil
	}
	r, err := schemaregistry.Open(c.SchemaRegistry)
	if err != nil {
		return nil, err
	}
	return format.New(r, c.Ingest.MaxEventBytes), nil
}

// checkFormat reports what is wrong with the schema that a source's events are read by.
func checkFormat(s *feature.Source) []feature.Fault {
	if err := format.Check(s); err != nil {
		return []feature.Fault{{Field: "spec.event_schema", Msg: err.Error()}}
	}
	return nil
}
