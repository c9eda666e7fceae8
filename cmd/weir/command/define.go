package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/manifest"
)

// readManifests collects the files that -f names, and what those refer to by
// file: or schema_file:, so that the server needs no access to this folder.
func (e *env) readManifests(paths []string) ([]*weirv1.ManifestFile, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("give -f with a file or folder of definitions")
	}
	var out []*weirv1.ManifestFile
	for _, p := range paths {
		if p == "-" {
			b, err := io.ReadAll(e.in)
			if err != nil {
				return nil, err
			}
			out = append(out, &weirv1.ManifestFile{Name: "-", Content: b})
			continue
		}
		files, err := manifest.Load(p)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			out = append(out, &weirv1.ManifestFile{Name: f.Name, Content: f.Data, Attachments: attachments(f)})
		}
	}
	return out, nil
}

// attachments reads the files that a manifest names, by parsing it here as the
// server will; what cannot be read is the server's to report, at its line.
func attachments(f manifest.File) map[string][]byte {
	read := map[string][]byte{}
	open := f.Open
	f.Open = func(name string) ([]byte, error) {
		b, err := open(name)
		if err == nil {
			read[name] = b
		}
		return b, err
	}
	manifest.Parse([]manifest.File{f})
	return read
}

func (e *env) plan() *cobra.Command {
	var files []string
	var preview previewFlags
	c := &cobra.Command{
		Use:   "plan -f PATH",
		Short: "Show what apply would change, and every fault of the files at once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ms, err := e.readManifests(files)
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.registry.Plan(ctx, &weirv1.PlanRequest{Files: ms, DefaultProject: c.project})
				if err != nil {
					return err
				}
				var previews []*weirv1.SuitePreview
				var none string
				if len(r.Faults) == 0 {
					previews, none = preview.of(ctx, c, ms)
				}
				return e.showChanges(r.Changes, r.Faults, r.Revision, false, previews, none)
			})
		},
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest file or folder; - is standard input; may be repeated")
	preview.add(c)
	return c
}

func (e *env) apply() *cobra.Command {
	var files []string
	var preview previewFlags
	var breaking bool
	c := &cobra.Command{
		Use:   "apply -f PATH",
		Short: "Put definitions in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ms, err := e.readManifests(files)
			if err != nil {
				return err
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				previews, none := preview.of(ctx, c, ms) // afterwards nobody could say what was before
				r, err := c.registry.Apply(ctx, &weirv1.ApplyRequest{Files: ms, DefaultProject: c.project, AllowBreaking: breaking})
				if err != nil {
					return err
				}
				return e.showChanges(r.Changes, r.Faults, r.Revision, true, previews, none)
			})
		},
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest file or folder; - is standard input; may be repeated")
	preview.add(c)
	c.Flags().BoolVar(&breaking, "allow-breaking", false, "apply changes that break readers")
	return c
}

var actionNames = map[weirv1.Action]string{
	weirv1.Action_ACTION_CREATE: "create", weirv1.Action_ACTION_UPDATE: "update",
	weirv1.Action_ACTION_DELETE: "delete", weirv1.Action_ACTION_UNCHANGED: "unchanged",
}

func (e *env) showChanges(changes []*weirv1.Change, faults []*weirv1.Fault, revision int64, applied bool, previews []*weirv1.SuitePreview, none string) error {
	if e.output == "json" {
		type jsonFault struct {
			File    string `json:"file"`
			Line    int32  `json:"line"`
			Column  int32  `json:"column"`
			Field   string `json:"field"`
			Message string `json:"message"`
		}
		type jsonChange struct {
			Action   string   `json:"action"`
			Kind     string   `json:"kind"`
			Project  string   `json:"project"`
			Name     string   `json:"name"`
			Version  int32    `json:"version"`
			Diff     []string `json:"diff"`
			Breaking []string `json:"breaking"`
			Notes    []string `json:"notes"`
		}
		out := struct {
			Applied  bool         `json:"applied"`
			Revision int64        `json:"revision"`
			Changes  []jsonChange `json:"changes"`
			Faults   []jsonFault  `json:"faults"`
			Previews []any        `json:"previews"`
			None     string       `json:"no_preview"` // why there are none
		}{Applied: applied && len(faults) == 0, Revision: revision, Changes: []jsonChange{}, Faults: []jsonFault{}, Previews: previewsJSON(previews), None: none}
		for _, c := range changes {
			out.Changes = append(out.Changes, jsonChange{actionNames[c.Action], c.Kind, c.Project, c.Name, c.Version, c.Diff, c.Breaking, c.Notes})
		}
		for _, f := range faults {
			out.Faults = append(out.Faults, jsonFault{f.File, f.Line, f.Column, f.Field, f.Message})
		}
		if err := printJSON(e.out, out); err != nil {
			return err
		}
		if len(faults) > 0 {
			return errNo
		}
		return nil
	}
	if len(faults) > 0 {
		for _, f := range faults {
			at := f.File
			if f.Line > 0 {
				at += fmt.Sprintf(":%d:%d", f.Line, f.Column)
			}
			field := f.Field
			if field != "" {
				field += ": "
			}
			fmt.Fprintf(e.err, "%s: %s%s\n", at, field, f.Message)
		}
		noun := "faults"
		if len(faults) == 1 {
			noun = "fault"
		}
		fmt.Fprintf(e.err, "%d %s; nothing was changed\n", len(faults), noun)
		return errNo
	}
	t := newTable(e.out, "", "kind", "name", "version", "notes")
	for _, c := range changes {
		notes := append(slices.Clone(c.Notes), c.Breaking...)
		t.AppendRow([]any{actionNames[c.Action], c.Kind, c.Project + "/" + c.Name, c.Version, strings.Join(notes, "; ")})
	}
	t.Render()
	for _, c := range changes {
		if c.Action == weirv1.Action_ACTION_UPDATE && len(c.Diff) > 0 {
			fmt.Fprintf(e.out, "\n%s %s/%s\n", c.Kind, c.Project, c.Name)
			for _, d := range c.Diff {
				fmt.Fprintln(e.out, "  "+d)
			}
		}
	}
	e.showPreviews(previews, none)
	if applied {
		fmt.Fprintf(e.out, "\napplied; the catalog is at revision %d\n", revision)
	} else {
		fmt.Fprintf(e.out, "\nnothing was changed; the catalog is at revision %d. To put it in force: weir apply\n", revision)
	}
	return nil
}

func (e *env) delete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete KIND NAME",
		Short: "Remove a definition that nothing else uses",
		Args:  exactly(2, "KIND and NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.registry.Delete(ctx, &weirv1.DeleteRequest{Kind: args[0], Project: c.project, Name: args[1]})
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, map[string]any{"revision": r.Revision})
				}
				fmt.Fprintf(e.out, "deleted %s %s; the catalog is at revision %d\n", args[0], args[1], r.Revision)
				return nil
			})
		},
	}
}
