package command

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) get() *cobra.Command {
	var tags []string
	var all bool
	c := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "List definitions of a kind (or: all), or print one",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isModel(args[0]) {
				if len(args) == 2 {
					return e.showModel(cmd.Context(), args[1])
				}
				return e.listModels(cmd.Context(), "")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				if len(args) == 2 {
					r, err := c.registry.Get(ctx, &weirv1.GetRequest{Kind: args[0], Project: c.project, Name: args[1]})
					if err != nil {
						return err
					}
					if e.output == "json" {
						return printJSON(e.out, json.RawMessage(r.Definition.Json))
					}
					_, err = e.out.Write(r.Definition.Manifest)
					return err
				}
				req := &weirv1.ListRequest{Kind: args[0], Project: c.project, Tags: map[string]string{}}
				if strings.EqualFold(args[0], "all") {
					req.Kind = ""
				}
				if all {
					req.Project = ""
				}
				for _, t := range tags {
					k, v, _ := strings.Cut(t, "=")
					req.Tags[k] = v
				}
				r, err := c.registry.List(ctx, req)
				if err != nil {
					return err
				}
				return e.showDefinitions(r.Definitions)
			})
		},
	}
	c.Flags().StringArrayVar(&tags, "tag", nil, "only definitions with this tag, as key=value or key; may be repeated")
	c.Flags().BoolVar(&all, "all-projects", false, "of every project")
	return c
}

func (e *env) showDefinitions(defs []*weirv1.Definition) error {
	if e.output == "json" {
		type row struct {
			Kind        string            `json:"kind"`
			Project     string            `json:"project"`
			Name        string            `json:"name"`
			Version     int32             `json:"version"`
			Description string            `json:"description"`
			Owner       string            `json:"owner"`
			Tags        map[string]string `json:"tags"`
		}
		out := []row{}
		for _, d := range defs {
			out = append(out, row{d.Kind, d.Project, d.Name, d.Version, d.Description, d.Owner, d.Tags})
		}
		return printJSON(e.out, out)
	}
	t := newTable(e.out, "kind", "name", "version", "owner", "description")
	for _, d := range defs {
		t.AppendRow([]any{d.Kind, d.Project + "/" + d.Name, d.Version, d.Owner, short(d.Description, 60)})
	}
	t.Render()
	return nil
}

func (e *env) describe() *cobra.Command {
	return &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Show a definition, what it needs and who uses it",
		Args:  exactly(2, "KIND and NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if isModel(args[0]) {
				return e.showModel(cmd.Context(), args[1])
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.registry.Describe(ctx, &weirv1.DescribeRequest{Kind: args[0], Project: c.project, Name: args[1]})
				if err != nil {
					return err
				}
				d := r.Definition
				if e.output == "json" {
					props := map[string]string{}
					for _, p := range r.Properties {
						props[p.Name] = p.Value
					}
					return printJSON(e.out, map[string]any{"kind": d.Kind, "project": d.Project, "name": d.Name, "version": d.Version,
						"needs": r.Needs, "used_by": r.UsedBy, "properties": props, "definition": json.RawMessage(d.Json)})
				}
				t := newTable(e.out)
				t.AppendRow([]any{"kind", d.Kind})
				t.AppendRow([]any{"name", d.Project + "/" + d.Name})
				t.AppendRow([]any{"version", d.Version})
				t.AppendRow([]any{"changed", when(d.UpdatedAt)})
				for _, p := range r.Properties {
					t.AppendRow([]any{p.Name, p.Value})
				}
				t.AppendRow([]any{"needs", strings.Join(r.Needs, "\n")})
				t.AppendRow([]any{"used by", strings.Join(r.UsedBy, "\n")})
				t.Render()
				fmt.Fprintf(e.out, "\n%s", d.Manifest)
				return nil
			})
		},
	}
}
