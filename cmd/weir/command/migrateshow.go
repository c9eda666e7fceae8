package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// migratedView is what became of a view, as JSON.
type migratedView struct {
	View     string           `json:"view"`
	From     string           `json:"feast_view"`
	Entities int64            `json:"entities"` // that have a row of it in Feast
	Read     int64            `json:"read"`     // rows that could be read, each once
	Copied   int64            `json:"copied"`   // by this run
	There    int64            `json:"already_there"`
	HeldBack int64            `json:"held_back"`
	Rules    map[string]int64 `json:"rules"` // of rows held back
	Skipped  int64            `json:"skipped"`
	Reasons  []migrateReason  `json:"reasons"` // why rows were skipped
	Notes    []string         `json:"notes"`
	Error    string           `json:"error,omitempty"`
}

type migrateReason struct {
	Field    string   `json:"field,omitempty"`
	Reason   string   `json:"reason"`
	Entities int64    `json:"entities"`
	Examples []string `json:"examples"`
}

// migrateReport is the whole answer, as JSON.
type migrateReport struct {
	Project  string           `json:"project"`
	From     string           `json:"feast_project"`
	Complete bool             `json:"complete"` // everything was read and taken
	DryRun   bool             `json:"dry_run,omitempty"`
	Keys     int64            `json:"keys"` // of Redis
	Views    []migratedView   `json:"views"`
	Unread   map[string]int64 `json:"unread_views"`   // views of the project that no view of Weir stands for: entities of each
	Unnamed  map[string]int64 `json:"unnamed_values"` // of features that no view of Weir names, by Feast's type
	Others   map[string]int64 `json:"other_projects"` // entities of each
}

func (v *migrated) outcome(c *client) migratedView {
	o := migratedView{View: v.to, From: v.from, Read: v.all, Rules: map[string]int64{}, Reasons: []migrateReason{}, Notes: []string{}}
	if v.err != nil {
		o.Error = explain(c.explain(v.err))
	}
	if v.report == nil {
		return o
	}
	o.Entities, o.Skipped = v.report.Entities, v.report.Skipped()
	if v.err == nil {
		o.Copied, o.HeldBack, o.There = v.out.Rows, v.out.Quarantined, v.all-v.sent
		for rule, n := range v.out.Rules {
			o.Rules[rule] = n
		}
	}
	for _, r := range v.report.Reasons {
		o.Reasons = append(o.Reasons, migrateReason{r.Field, r.Text, r.Entities, r.Examples})
	}
	slices.SortStableFunc(o.Reasons, func(a, b migrateReason) int { return cmp.Compare(b.Entities, a.Entities) })
	v.notes(&o)
	return o
}

func (v *migrated) notes(o *migratedView) {
	note := func(format string, args ...any) { o.Notes = append(o.Notes, fmt.Sprintf(format, args...)) }
	for i, f := range v.report.View.Features {
		if n := v.report.NotNumbers[i]; n > 0 {
			note("%s: %s NaN in Feast, null in Weir", f.Name, were(n, "value"))
		}
		switch n := v.report.Absent[i]; {
		case n == 0:
		case n >= v.report.Read:
			note("%s: Feast has no such feature; it is null in every row", f.Name)
		default:
			note("%s: %s written before Feast had it; it is null there", f.Name, were(n, "row"))
		}
	}
	if n := v.rows.Cut(); n > 0 {
		note("event times were cut to the unit of the source in %s", plural(n, "row"))
	}
	if !v.online {
		note("the view is not served online: the rows are in its table only")
	}
}

func were(n int64, what string) string {
	if n == 1 {
		return "1 " + what + " was"
	}
	return plural(n, what) + " were"
}

// show prints the report; it is no for an answer where anything is missing.
func (m *migration) show() error {
	r := migrateReport{Project: m.c.project, From: m.args.project, Complete: true, DryRun: m.args.dryRun, Keys: m.found.Keys,
		Views: []migratedView{}, Unread: m.found.UnreadViews, Unnamed: m.found.Unnamed, Others: m.found.OtherProjects}
	var entities int64
	failed := 0
	for _, v := range m.views {
		o := v.outcome(m.c)
		if v.err != nil {
			failed++
		}
		r.Views = append(r.Views, o)
		entities += o.Entities
		r.Complete = r.Complete && o.Error == "" && o.Skipped == 0 && o.HeldBack == 0
	}
	// Who names views leaves the others on purpose.
	r.Complete = r.Complete && entities > 0 && (len(r.Unread) == 0 || len(m.args.views) > 0)
	if m.e.output == "json" {
		if err := printJSON(m.e.out, r); err != nil {
			return err
		}
	} else {
		m.print(&r, entities)
	}
	switch {
	case failed == len(m.views):
		return fmt.Errorf("none of the views was copied")
	case !r.Complete:
		return errNo
	}
	return nil
}

func (m *migration) print(r *migrateReport, entities int64) {
	e := m.e
	t := newTable(e.out, "view", "in Feast", "entities", "copied", "already there", "held back", "not read")
	for _, v := range r.Views {
		t.AppendRow([]any{v.View, v.From, count(v.Entities), count(v.Copied), count(v.There), count(v.HeldBack), count(v.Skipped)})
	}
	t.Render()
	for _, v := range r.Views {
		if v.Error != "" {
			fmt.Fprintf(e.out, "\n%s was not copied: %s\n", v.View, v.Error)
		}
		if len(v.Reasons) > 0 {
			fmt.Fprintf(e.out, "\n%s: not read\n", v.View)
			t := newTable(e.out, "entities", "field", "why", "such as")
			for _, x := range v.Reasons {
				t.AppendRow([]any{count(x.Entities), cmp.Or(x.Field, "-"), x.Reason, short(strings.Join(x.Examples, "; "), 80)})
			}
			t.Render()
		}
		if v.HeldBack > 0 {
			held := importOutcome{Rules: v.Rules}
			why := held.worst()
			if why == "" {
				why = "by an earlier run"
			}
			fmt.Fprintf(e.out, "\n%s: %s held back (%s): weir quarantine list --view %s\n", v.View, were(v.HeldBack, "row"), why, v.View)
		}
		for _, n := range v.Notes {
			fmt.Fprintf(e.out, "note: %s: %s\n", v.View, n)
		}
	}
	for _, name := range named(r.Unread) {
		fmt.Fprintf(e.out, "note: view %s of Feast (%s) was not read: to copy it, make a view in Weir, or name one with --view %s=VIEW\n", name, entitiesOf(r.Unread[name]), name)
	}
	for _, kind := range named(r.Unnamed) {
		fmt.Fprintf(e.out, "note: %s of type %s stay behind: no view in Weir has a feature of that name (Feast keeps hashes of names, not names)\n", plural(r.Unnamed[kind], "value"), kind)
	}
	if entities == 0 {
		fmt.Fprintf(e.out, "nothing of project %s of Feast is among %s of this Redis", r.From, plural(r.Keys, "key"))
		if others := named(r.Others); len(others) > 0 {
			fmt.Fprintf(e.out, "; there are the projects %s (--feast-project)", strings.Join(others, ", "))
		}
		fmt.Fprintln(e.out)
	}
	if r.DryRun {
		fmt.Fprintln(e.out, "dry run: nothing was written")
	}
}

func entitiesOf(n int64) string {
	if n == 1 {
		return "1 entity"
	}
	return count(n) + " entities"
}

// named are the names of counts, the most first.
func named(counts map[string]int64) []string {
	var names []string
	for n := range counts {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	return names
}
