// Package docs has the schemas of events, so that the program can show those that it writes.
package docs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed drift-v1.schema.json quality-v1.schema.json delivery-v1.schema.json
var schemas embed.FS

// EventSchema is the JSON Schema of the data of events: by its name ("drift"), or by
// what the events' dataschema says.
func EventSchema(name string) ([]byte, error) {
	short := strings.TrimSuffix(strings.TrimPrefix(name, "urn:io.weir:schema:"), ":v1")
	b, err := schemas.ReadFile(short + "-v1.schema.json")
	if err != nil {
		return nil, fmt.Errorf("there is no schema %q: there are drift, quality and delivery", name)
	}
	return b, nil
}
