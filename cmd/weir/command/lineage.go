package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) lineage() *cobra.Command {
	var up, down bool
	c := &cobra.Command{
		Use:   "lineage KIND/NAME [--up|--down]",
		Short: "Show what something was made of, and what was made of it",
		Long: `Follows models, training sets, services, tables and topics, both ways: up to the partitions
and offsets that a model's training set was read from, down to the models that stand on a
topic and the monitors that look at them.

KIND/NAME is model/NAME[@VERSION], snapshot/ID, service/NAME, view/NAME, source/NAME,
topic/NAME or monitor/NAME.`,
		Example: "  weir lineage model/churn@3\n  weir lineage topic/churn.events --down",
		Args:    exactly(1, "KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, ok := strings.Cut(args[0], "/")
			if !ok || name == "" {
				return fmt.Errorf("%s: write it as KIND/NAME, like model/churn@3 (run: weir lineage --help)", args[0])
			}
			if !up && !down {
				up, down = true, true
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.lineages.Get(ctx, &weirv1.GetLineageRequest{Project: c.project, Kind: kind, Name: name})
				if err != nil {
					return err
				}
				if e.output == "json" {
					j := lineageJSON(r.Of)
					delete(j, "next")
					if up {
						j["up"] = lineagesJSON(r.Up)
					}
					if down {
						j["down"] = lineagesJSON(r.Down)
					}
					return printJSON(e.out, j)
				}
				fmt.Fprintln(e.out, lineageText(r.Of))
				if up {
					e.showLineage("made of", r.Up)
				}
				if down {
					e.showLineage("used by", r.Down)
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&up, "up", false, "only what it was made of")
	c.Flags().BoolVar(&down, "down", false, "only what was made of it, or looks at it")
	return c
}

func (e *env) showLineage(head string, all []*weirv1.LineageNode) {
	if len(all) == 0 {
		fmt.Fprintf(e.out, "\n%s: nothing that is known here\n", head)
		return
	}
	fmt.Fprintf(e.out, "\n%s\n", head)
	e.lineageTree("", all)
}

func (e *env) lineageTree(indent string, all []*weirv1.LineageNode) {
	for i, n := range all {
		branch, below := "├─ ", "│  "
		if i == len(all)-1 {
			branch, below = "└─ ", "   "
		}
		fmt.Fprintln(e.out, indent+branch+lineageText(n))
		e.lineageTree(indent+below, n.Next)
	}
}

func lineageText(n *weirv1.LineageNode) string {
	s := n.Kind + "/" + n.Name
	if len(n.Details) > 0 {
		s += "  (" + strings.Join(n.Details, "; ") + ")"
	}
	return s
}

func lineageJSON(n *weirv1.LineageNode) map[string]any {
	return map[string]any{"kind": n.Kind, "name": n.Name, "details": emptyNotNil(n.Details), "next": lineagesJSON(n.Next)}
}

func lineagesJSON(all []*weirv1.LineageNode) []any {
	out := []any{}
	for _, n := range all {
		out = append(out, lineageJSON(n))
	}
	return out
}
