package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Kinds of what stands in a lineage beside definitions.
const (
	LineageModel    = "model"
	LineageSnapshot = "snapshot"
	LineageService  = "service"
	LineageView     = "view"
	LineageTable    = "table"
	LineageSource   = "source"
	LineageTopic    = "topic"
	LineageImport   = "import"
	LineageMonitor  = "monitor"
)

// Lineage is what something was made of, and what was made of it.
type Lineage struct {
	Of   *LineageNode
	Up   []*LineageNode // what it was made of; so on below
	Down []*LineageNode // what was made of it, or looks at it
}

// LineageNode is one thing with those on its far side.
type LineageNode struct {
	Kind    string
	Name    string
	Details []string // for people, a line each
	Next    []*LineageNode
}

// Standing tells where a table stood at the version that a snapshot was read from.
type Standing func(ctx context.Context, project string, t feature.SnapshotTable) ([]feature.Position, error)

// Lineage follows what was made of what, both ways. name of a model is NAME@VERSION or
// NAME. Where standing fails or is nil, the tables' nodes say so in the place of topics and offsets.
func (r *Registry) Lineage(ctx context.Context, project, kind, name string, standing Standing) (*Lineage, error) {
	if project == "" {
		project = DefaultProject
	}
	s, err := r.refresh(ctx)
	if err != nil {
		return nil, err
	}
	l := &lines{ctx: ctx, project: project, cat: s.catalog, standing: standing}
	if l.models, err = r.store.ListModels(ctx, project, ""); err != nil {
		return nil, err
	}
	if l.snapshots, err = r.store.ListSnapshots(ctx, project); err != nil {
		return nil, err
	}
	switch kind {
	case LineageModel:
		name, at, _ := strings.Cut(name, "@")
		m, err := r.FindModel(ctx, project, name, at)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.model(m), l.modelUp(m), l.modelDown(m)}, nil
	case LineageSnapshot:
		x, err := r.store.Snapshot(ctx, project, name)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.snapshot(x), l.snapshotUp(x), l.snapshotDown(x)}, nil
	case LineageService:
		x, err := s.catalog.Service(project, name)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.service(x), l.serviceUp(x), l.serviceDown(x)}, nil
	case LineageView:
		x, err := s.catalog.View(project, name)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.view(x), l.viewUp(x), l.viewDown(x)}, nil
	case LineageSource:
		x, err := s.catalog.Source(project, name)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.source(x), l.sourceUp(x), l.sourceDown(x)}, nil
	case LineageMonitor:
		x, err := s.catalog.Monitor(project, name)
		if err != nil {
			return nil, err
		}
		return &Lineage{l.monitor(x), l.monitorUp(x), nil}, nil
	case LineageTopic:
		down := l.topicDown(name)
		if len(down) == 0 {
			return nil, feature.Errorf(feature.NotFound, "registry.lineage", "topic "+name, "no source of project %s reads it", project).WithHint("weir get source lists what there is")
		}
		return &Lineage{Of: &LineageNode{Kind: LineageTopic, Name: name}, Down: down}, nil
	}
	return nil, feature.Errorf(feature.Invalid, "registry.lineage", kind+"/"+name, "there is no such kind").
		WithHint("use model/NAME@VERSION, snapshot/ID, service/NAME, view/NAME, source/NAME, topic/NAME or monitor/NAME")
}

// lines is one question's look at everything.
type lines struct {
	ctx       context.Context
	project   string
	cat       *Catalog
	models    []feature.Model
	snapshots []feature.Snapshot
	standing  Standing
}

func (l *lines) model(m feature.Model) *LineageNode {
	n := &LineageNode{Kind: LineageModel, Name: m.Label()}
	if len(m.Aliases) > 0 {
		n.Details = append(n.Details, strings.Join(m.Aliases, ", "))
	}
	if m.URI != "" {
		n.Details = append(n.Details, m.URI)
	}
	return n
}

func (l *lines) modelUp(m feature.Model) []*LineageNode {
	for _, x := range l.snapshots {
		if x.ID == m.Snapshot {
			return []*LineageNode{with(l.snapshot(x), l.snapshotUp(x))}
		}
	}
	return nil
}

// modelDown are the monitors that compare with the version now, and those whose events ask to train the model again.
func (l *lines) modelDown(m feature.Model) (out []*LineageNode) {
	for _, x := range l.cat.Monitors() {
		if x.Meta.Project != l.project {
			continue
		}
		r := x.Reference
		switch {
		case r.Model == m.Name && m.HasAlias(r.AliasOrChampion()):
			out = append(out, l.monitor(x, "compares with its training set"))
		case x.Retrain.Model == m.Name:
			out = append(out, l.monitor(x, "asks to train it again"))
		}
	}
	return out
}

func (l *lines) snapshot(x feature.Snapshot) *LineageNode {
	return &LineageNode{Kind: LineageSnapshot, Name: x.ID, Details: []string{fmt.Sprintf("%s, made %s", counted(int(x.Rows), "row"), feature.Time(x.CreatedAt).Format("2006-01-02 15:04:05Z"))}}
}

func (l *lines) snapshotUp(x feature.Snapshot) []*LineageNode {
	out := []*LineageNode{{Kind: LineageService, Name: fmt.Sprintf("%s@%d", x.Service, x.ServiceVersion)}}
	for _, t := range x.Tables {
		out = append(out, l.table(t))
	}
	return out
}

// table is a table at a version, with the topics it was filled from and how far.
func (l *lines) table(t feature.SnapshotTable) *LineageNode {
	n := &LineageNode{Kind: LineageTable, Name: fmt.Sprintf("%s@%d", t.View, t.ViewVersion), Details: []string{fmt.Sprintf("version %d", t.Version)}}
	if t.Tag != "" {
		n.Details = append(n.Details, "tag "+t.Tag)
	}
	if t.Version == 0 {
		n.Details = []string{"it had no rows yet"}
		return n
	}
	if l.standing == nil {
		n.Details = append(n.Details, "topics and offsets are not known here: the tables are out of reach")
		return n
	}
	at, err := l.standing(l.ctx, l.project, t)
	if err != nil {
		n.Details = append(n.Details, "topics and offsets are out of reach: "+err.Error())
		return n
	}
	of := map[string]*LineageNode{} // topics have partitions of their own
	for _, p := range at {
		switch {
		case p.Next == 0: // nothing of it is in there
		case p.Partition == feature.ImportPartition:
			n.Next = append(n.Next, &LineageNode{Kind: LineageImport, Name: strings.TrimPrefix(p.Topic, "file:"), Details: []string{counted(int(p.Next), "row")}})
		case p.Partition < 0: // replays: their rows are those of the topic
		default:
			x := of[p.Topic]
			if x == nil {
				x = &LineageNode{Kind: LineageTopic, Name: p.Topic}
				of[p.Topic], n.Next = x, append(n.Next, x)
			}
			x.Details = append(x.Details, fmt.Sprintf("partition %d up to offset %d", p.Partition, p.Next))
		}
	}
	return n
}

func (l *lines) snapshotDown(x feature.Snapshot) (out []*LineageNode) {
	for _, m := range l.models {
		if m.Snapshot == x.ID {
			out = append(out, with(l.model(m), l.modelDown(m)))
		}
	}
	for _, m := range l.cat.Monitors() {
		if m.Meta.Project == l.project && m.Reference.Snapshot == x.ID && l.followed(m) == nil {
			out = append(out, l.monitor(m, "compares with it"))
		}
	}
	return out
}

func (l *lines) service(x *feature.Service) *LineageNode {
	return &LineageNode{Kind: LineageService, Name: fmt.Sprintf("%s@%d", x.Meta.Name, x.Version), Details: []string{counted(len(x.Columns), "feature")}}
}

func (l *lines) serviceUp(x *feature.Service) (out []*LineageNode) {
	for _, v := range x.Views {
		out = append(out, with(l.view(v), l.viewUp(v)))
	}
	return out
}

func (l *lines) serviceDown(x *feature.Service) []*LineageNode {
	out := l.madeWith(func(s feature.Snapshot) bool { return s.Service == x.Meta.Name })
	for _, m := range l.cat.Monitors() {
		if m.Meta.Project == l.project && m.Retrain.Service == x.Meta.Name {
			out = append(out, l.monitor(m, "asks to train with it again"))
		}
	}
	return out
}

// mostUnused is how many snapshots are named that nothing uses.
const mostUnused = 10

// madeWith are snapshots, newest first: all that something uses, and the newest of the others.
func (l *lines) madeWith(is func(feature.Snapshot) bool) (out []*LineageNode) {
	unused, more := 0, 0
	for _, x := range slices.Backward(l.snapshots) {
		if !is(x) {
			continue
		}
		down := l.snapshotDown(x)
		if len(down) == 0 {
			if unused++; unused > mostUnused {
				more++
				continue
			}
		}
		out = append(out, with(l.snapshot(x), down))
	}
	if more > 0 {
		out = append(out, &LineageNode{Kind: LineageSnapshot, Name: "…", Details: []string{fmt.Sprintf("and %d older ones that nothing uses", more)}})
	}
	return out
}

func (l *lines) view(v *feature.View) *LineageNode {
	return &LineageNode{Kind: LineageView, Name: fmt.Sprintf("%s@%d", v.Meta.Name, v.Version)}
}

func (l *lines) viewUp(v *feature.View) []*LineageNode {
	if v.SourceOf == nil {
		return nil
	}
	return []*LineageNode{with(l.source(v.SourceOf), l.sourceUp(v.SourceOf))}
}

func (l *lines) viewDown(v *feature.View) (out []*LineageNode) {
	readers := map[string]bool{}
	for _, x := range l.cat.Services() {
		if x.Meta.Project == l.project && slices.Contains(x.Views, v) {
			readers[x.Meta.Name] = true
			out = append(out, with(l.service(x), l.serviceDown(x)))
		}
	}
	out = append(out, l.madeWith(func(s feature.Snapshot) bool { // of services that do not read it any more
		return !readers[s.Service] && slices.ContainsFunc(s.Tables, func(t feature.SnapshotTable) bool { return t.View == v.Meta.Name })
	})...)
	for _, m := range l.cat.Monitors() {
		if m.ViewOf == v {
			out = append(out, l.monitor(m, "watches it"))
		}
		if p := m.Performance; p != nil && p.Outcomes.ViewOf == v {
			out = append(out, l.monitor(m, "takes outcomes from it"))
		}
	}
	return out
}

func (l *lines) source(x *feature.Source) *LineageNode {
	return &LineageNode{Kind: LineageSource, Name: fmt.Sprintf("%s@%d", x.Meta.Name, l.cat.Version(RefOf(x)))}
}

func (l *lines) sourceUp(x *feature.Source) []*LineageNode {
	return []*LineageNode{{Kind: LineageTopic, Name: x.Topic}}
}

func (l *lines) sourceDown(x *feature.Source) (out []*LineageNode) {
	for _, v := range l.cat.Views() {
		if v.SourceOf == x {
			out = append(out, with(l.view(v), l.viewDown(v)))
		}
	}
	return out
}

func (l *lines) topicDown(topic string) (out []*LineageNode) {
	for _, x := range l.cat.Sources() {
		if x.Meta.Project == l.project && x.Topic == topic {
			out = append(out, with(l.source(x), l.sourceDown(x)))
		}
	}
	return out
}

func (l *lines) monitor(m *feature.Monitor, how ...string) *LineageNode {
	return &LineageNode{Kind: LineageMonitor, Name: m.Meta.Name, Details: how}
}

// followed is the version of a model that the monitor compares with now; nil where there is none.
func (l *lines) followed(m *feature.Monitor) *feature.Model {
	r := &m.Reference
	for i := range l.models {
		if x := &l.models[i]; r.Model != "" && x.Name == r.Model && x.HasAlias(r.AliasOrChampion()) {
			return x
		}
	}
	return nil
}

func (l *lines) monitorUp(m *feature.Monitor) (out []*LineageNode) {
	if x := l.followed(m); x != nil {
		out = append(out, with(l.model(*x), l.modelUp(*x)))
	}
	for _, x := range l.snapshots {
		if x.ID == m.Reference.Snapshot && len(out) == 0 {
			out = append(out, with(l.snapshot(x), l.snapshotUp(x)))
		}
	}
	if m.ViewOf != nil {
		out = append(out, with(l.view(m.ViewOf), l.viewUp(m.ViewOf)))
	}
	if p := m.Performance; p != nil && p.Outcomes.ViewOf != nil {
		n := with(l.view(p.Outcomes.ViewOf), l.viewUp(p.Outcomes.ViewOf))
		n.Details = append(n.Details, "outcomes")
		out = append(out, n)
	}
	return out
}

func with(n *LineageNode, next []*LineageNode) *LineageNode {
	n.Next = next
	return n
}
