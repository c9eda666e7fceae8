package command

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/internal/outbox/pipeline"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/registry/feature"
)

// pipelineShown is a pipeline of the settings, with the request that an event would make. Credentials are not in it.
type pipelineShown struct {
	Name    string            `json:"name"`
	Type    string            `json:"type"`
	Takes   []string          `json:"takes"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (e *env) pipelines() *cobra.Command {
	var types bool
	c := &cobra.Command{
		Use:   "pipelines [NAME]",
		Short: "Show where retraining is started, and what would be sent there",
		Long: "Show the pipelines of the settings. With a name: the request that an event like that of docs/events.md would make,\n" +
			"without credentials. Nothing is sent. --types lists the types that there are, and what each has under with.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if types {
				return e.pipelineTypes()
			}
			c, err := e.load(nil)
			if err != nil {
				return err
			}
			all := []pipelineShown{}
			for i := range c.Pipelines {
				p := &c.Pipelines[i]
				if len(args) == 1 && args[0] != p.Label() {
					continue
				}
				s, err := showPipeline(p)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			if len(args) == 1 && len(all) == 0 {
				return feature.Errorf(feature.NotFound, "pipelines", "pipeline "+args[0], "the settings have none of that name").
					WithHint("list them: weir pipelines")
			}
			if e.output == "json" {
				return printJSON(e.out, all)
			}
			if len(args) == 1 {
				p := &all[0]
				fmt.Fprintf(e.out, "%s %s\n", p.Method, p.URL)
				for _, k := range slices.Sorted(maps.Keys(p.Headers)) {
					fmt.Fprintf(e.out, "%s: %s\n", k, p.Headers[k])
				}
				fmt.Fprintf(e.out, "\n%s\n", p.Body)
				return nil
			}
			t := newTable(e.out, "name", "type", "takes", "address")
			for _, p := range all {
				t.AppendRow([]any{p.Name, p.Type, strings.Join(p.Takes, " "), p.URL})
			}
			t.Render()
			return nil
		},
	}
	c.Flags().BoolVar(&types, "types", false, "list the types, and their settings")
	return c
}

func showPipeline(p *app.PipelineConfig) (pipelineShown, error) {
	sender, err := p.Sender(nil)
	if err != nil {
		return pipelineShown{}, err
	}
	r, err := sender.Show(pipeline.Sample())
	if err != nil {
		return pipelineShown{}, err
	}
	s := pipelineShown{Name: p.Label(), Type: p.Type, Takes: p.Taken(), Method: r.Method, URL: r.URL, Headers: map[string]string{}, Body: string(r.Body)}
	// What stands in the address may be a secret; what the template puts behind it is not.
	base := strings.TrimRight(p.URL, "/")
	if shown := posting.Shown(base); base != "" && shown != base {
		s.URL = shown + strings.TrimPrefix(r.URL, base)
	}
	for k := range r.Header {
		s.Headers[k] = r.Header.Get(k)
	}
	var v any
	if json.Unmarshal(r.Body, &v) == nil {
		if b, err := json.MarshalIndent(v, "", "  "); err == nil {
			s.Body = string(b)
		}
	}
	return s, nil
}

func (e *env) pipelineTypes() error {
	type shown struct {
		Type     string             `json:"type"`
		About    string             `json:"about"`
		Settings []pipeline.Setting `json:"settings"`
	}
	all := []shown{{"airflow", "Apache Airflow 3: a run of a DAG", []pipeline.Setting{{Name: "dag", Default: "{{.Pipeline}}", About: "the DAG's id"}}}}
	for _, name := range pipeline.Types() {
		t, err := pipeline.Of(name, pipeline.Request{})
		if err != nil {
			return err
		}
		all = append(all, shown{name, t.About, t.Settings})
	}
	if e.output == "json" {
		return printJSON(e.out, all)
	}
	t := newTable(e.out, "type", "what", "with")
	for _, x := range all {
		var with []string
		for _, s := range x.Settings {
			line := s.Name + ": " + s.About
			if s.Required {
				line += " (required)"
			} else if s.Default != "" {
				line += " (" + s.Default + ")"
			}
			with = append(with, line)
		}
		t.AppendRow([]any{x.Type, x.About, strings.Join(with, "\n")})
	}
	t.Render()
	return nil
}
