package pipeline

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// HTTP is the type whose request is in the settings.
const HTTP = "http"

// Types are the names of the built-in templates, and HTTP.
func Types() []string {
	files, err := builtin.ReadDir("builtin")
	if err != nil {
		panic(err) // it is embedded
	}
	var out []string
	for _, f := range files {
		out = append(out, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	out = append(out, HTTP)
	slices.Sort(out)
	return out
}

// Builtin is the template of a type; nil where there is none.
func Builtin(name string) (*Template, error) {
	b, err := builtin.ReadFile("builtin/" + name + ".yaml")
	if err != nil {
		return nil, nil
	}
	t := new(Template)
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(t); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return t, nil
}

// Of is the template of a type, with its request where the type is HTTP.
func Of(name string, r Request) (*Template, error) {
	if name == HTTP {
		if r.Body == "" && len(r.Form) == 0 && r.Method != "GET" {
			r.Body = "{{json .Event}}"
		}
		return &Template{About: "a request of your own", Signs: true, Free: true, Request: r}, nil
	}
	t, err := Builtin(name)
	if t == nil && err == nil {
		err = fmt.Errorf("must be one of %s (got %q)", strings.Join(Types(), ", "), name)
	}
	return t, err
}
