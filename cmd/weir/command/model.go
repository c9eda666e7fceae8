package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func (e *env) model() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "Versions of models, and the training sets they were trained on"}
	c.AddCommand(e.modelRegister(), e.modelList(), e.modelShow("show"), e.modelAlias(), e.modelDelete())
	return c
}

func (e *env) modelRegister() *cobra.Command {
	m := &weirv1.Model{}
	var tags []string
	c := &cobra.Command{
		Use:   "register NAME --version V --snapshot ID",
		Short: "Tie a version of a model to the snapshot it was trained on",
		Long: `Records that a version of a model was trained on a snapshot, and so with which version of
the service and of the tables. That never changes afterwards; the same again is fine, and
changes URI and tags where they are given. The snapshot, the service and its views stay
while the version is registered.

--alias champion says that this is the version that serves: monitors whose reference is
the model compare with its snapshot from then on.`,
		Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if m.Version == "" || m.Snapshot == "" {
				return fmt.Errorf("give --version and --snapshot")
			}
			m.Name, m.Tags = args[0], map[string]string{}
			for _, t := range tags {
				k, v, ok := strings.Cut(t, "=")
				if !ok || k == "" {
					return fmt.Errorf("--tag %s: write it as key=value", t)
				}
				m.Tags[k] = v
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				m.Project = c.project
				r, err := c.models.Register(ctx, &weirv1.RegisterModelRequest{Model: m})
				if err != nil {
					return err
				}
				if e.output == "json" {
					j := modelJSON(r.Model)
					j["created"] = r.Created
					return printJSON(e.out, j)
				}
				said := "registered"
				if !r.Created {
					said = "was registered already:"
				}
				x := r.Model
				fmt.Fprintf(e.out, "%s model %s: service %s@%d, snapshot %s", said, modelLabel(x), x.Service, x.ServiceVersion, x.Snapshot)
				if len(x.Aliases) > 0 {
					fmt.Fprintf(e.out, ", %s", strings.Join(x.Aliases, ", "))
				}
				fmt.Fprintln(e.out)
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&m.Version, "version", "", "version, as the model's registry calls it")
	f.StringVar(&m.Snapshot, "snapshot", "", "id of the snapshot it was trained on")
	f.StringVar(&m.Service, "service", "", "feature service; the snapshot's when it is left out")
	f.StringVar(&m.Uri, "uri", "", "where the model's files are")
	f.StringArrayVar(&m.Aliases, "alias", nil, "move this alias here, like champion; may be repeated")
	f.StringArrayVar(&tags, "tag", nil, "key=value; may be repeated")
	return c
}

func modelLabel(m *weirv1.Model) string { return m.Name + "@" + m.Version }

// cutModel parts NAME[@VERSION], where VERSION may be an alias.
func cutModel(s string) (name, version string) {
	name, version, _ = strings.Cut(s, "@")
	return name, version
}

func modelJSON(m *weirv1.Model) map[string]any {
	tags := m.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"project": m.Project, "name": m.Name, "version": m.Version, "service": m.Service, "service_version": m.ServiceVersion,
		"snapshot": m.Snapshot, "uri": m.Uri, "tags": tags, "aliases": emptyNotNil(m.Aliases), "created_at": when(m.CreatedAt)}
}

func (e *env) modelList() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "list [--name NAME]", Short: "List the project's models, version by version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return e.listModels(cmd.Context(), name) },
	}
	c.Flags().StringVar(&name, "name", "", "only this model")
	return c
}

func (e *env) listModels(ctx context.Context, name string) error {
	return e.call(ctx, func(ctx context.Context, c *client) error {
		r, err := c.models.List(ctx, &weirv1.ListModelsRequest{Project: c.project, Name: name})
		if err != nil {
			return err
		}
		if e.output == "json" {
			out := []any{}
			for _, m := range r.Models {
				out = append(out, modelJSON(m))
			}
			return printJSON(e.out, out)
		}
		t := newTable(e.out, "model", "version", "alias", "service", "snapshot", "registered")
		for _, m := range r.Models {
			t.AppendRow([]any{m.Name, m.Version, strings.Join(m.Aliases, ", "), fmt.Sprintf("%s@%d", m.Service, m.ServiceVersion), m.Snapshot, when(m.CreatedAt)})
		}
		t.Render()
		return nil
	})
}

func (e *env) modelShow(use string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME[@VERSION]", Short: "Show a version (the champion, when none is named) and where aliases stood", Args: exactly(1, "NAME, or NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error { return e.showModel(cmd.Context(), args[0]) },
	}
}

// showModel prints a version with the past of the model's aliases.
func (e *env) showModel(ctx context.Context, arg string) error {
	name, version := cutModel(arg)
	return e.call(ctx, func(ctx context.Context, c *client) error {
		r, err := c.models.Get(ctx, &weirv1.GetModelRequest{Project: c.project, Name: name, Version: version})
		if err != nil {
			return err
		}
		m := r.Model
		if e.output == "json" {
			moves := []any{}
			for _, x := range r.Moves {
				moves = append(moves, map[string]any{"alias": x.Alias, "version": x.Version, "snapshot": x.Snapshot, "at": when(x.At)})
			}
			j := modelJSON(m)
			j["moves"] = moves
			return printJSON(e.out, j)
		}
		t := newTable(e.out)
		for _, row := range [][2]string{{"model", m.Project + "/" + modelLabel(m)}, {"alias", strings.Join(m.Aliases, ", ")},
			{"service", fmt.Sprintf("%s@%d", m.Service, m.ServiceVersion)}, {"snapshot", m.Snapshot}, {"uri", m.Uri}, {"registered", when(m.CreatedAt)}} {
			if row[1] != "" {
				t.AppendRow([]any{row[0], row[1]})
			}
		}
		for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
			t.AppendRow([]any{"tag " + k, m.Tags[k]})
		}
		t.Render()
		if len(r.Moves) > 0 {
			fmt.Fprintln(e.out)
			t = newTable(e.out, "since", "alias", "version", "snapshot")
			for _, x := range r.Moves {
				to := x.Version
				if to == "" {
					to = "(taken off)"
				}
				t.AppendRow([]any{when(x.At), x.Alias, to, x.Snapshot})
			}
			t.Render()
		}
		return nil
	})
}

func (e *env) modelAlias() *cobra.Command {
	var off bool
	c := &cobra.Command{
		Use: "alias NAME VERSION ALIAS [--delete]", Short: "Move an alias to a version, or take it off it", Args: exactly(3, "NAME, VERSION and ALIAS"),
		Example: "  weir model alias churn 4 " + feature.ChampionAlias,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				var moved bool
				if off {
					r, err := c.models.DeleteAlias(ctx, &weirv1.DeleteAliasRequest{Project: c.project, Name: args[0], Version: args[1], Alias: args[2]})
					if err != nil {
						return err
					}
					moved = r.Moved
				} else {
					r, err := c.models.SetAlias(ctx, &weirv1.SetAliasRequest{Project: c.project, Name: args[0], Version: args[1], Alias: args[2]})
					if err != nil {
						return err
					}
					moved = r.Moved
				}
				switch {
				case e.output == "json":
					return printJSON(e.out, map[string]any{"moved": moved})
				case off:
					fmt.Fprintf(e.out, "%s@%s is no longer %s\n", args[0], args[1], args[2])
				case moved:
					fmt.Fprintf(e.out, "%s@%s is %s now\n", args[0], args[1], args[2])
				default:
					fmt.Fprintf(e.out, "%s@%s is %s already\n", args[0], args[1], args[2])
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&off, "delete", false, "take the alias off")
	return c
}

func (e *env) modelDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME VERSION", Short: "Forget a version that has no alias", Args: exactly(2, "NAME and VERSION"),
		Long: `Forgets that a version of a model was trained on a snapshot, so that the snapshot, the service
and its views may go. The model itself, wherever it is, is not touched.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				if _, err := c.models.Delete(ctx, &weirv1.DeleteModelRequest{Project: c.project, Name: args[0], Version: args[1]}); err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"deleted": args[0] + "@" + args[1]})
				}
				fmt.Fprintf(e.out, "deleted model %s@%s\n", args[0], args[1])
				return nil
			})
		},
	}
}

// isModel reports whether a kind that somebody typed means models, which are no definitions.
func isModel(kind string) bool {
	return strings.EqualFold(kind, "model") || strings.EqualFold(kind, "models")
}
