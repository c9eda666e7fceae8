package command

import (
	"fmt"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// showBacktest tells when a monitor would have fired; exit code 1 when it would have.
func (e *env) showBacktest(r *weirv1.RunMonitorResponse) error {
	fired, drifted := 0, 0
	changes := []any{}
	for _, c := range r.Changes {
		if c.Drifted {
			fired++
		}
		changes = append(changes, map[string]any{"drifted": c.Drifted, "window": when(c.Window), "since": when(c.Since)})
	}
	var windows []*weirv1.WindowResult // those with something to see
	all := []any{}
	for _, w := range r.Windows {
		all = append(all, windowJSON(w))
		if w.Drifted {
			drifted++
			windows = append(windows, w)
		}
	}
	if e.output == "json" {
		j := monitorJSON(r.Monitor)
		j["changes"], j["results"], j["drifted_windows"] = changes, all, drifted
		if err := printJSON(e.out, j); err != nil {
			return err
		}
	} else {
		m := r.Monitor
		fmt.Fprintf(e.out, "%s/%s on history, against %s: %d of %d windows drifted, it would have fired %d times\n%s\n\n",
			m.Project, m.Name, m.Reference, drifted, len(r.Windows), fired, m.Promise)
		if len(r.Changes) > 0 {
			t := newTable(e.out, "at", "", "since")
			for _, c := range r.Changes {
				t.AppendRow([]any{when(c.Window), map[bool]string{true: "DRIFT", false: "resolved"}[c.Drifted], when(c.Since)})
			}
			t.Render()
			fmt.Fprintln(e.out)
		}
		e.windowTable(windows)
	}
	if fired > 0 {
		return errNo
	}
	return nil
}
