package feature

// AliasOrChampion is the alias that the reference follows.
func (r *Reference) AliasOrChampion() string {
	if r.Alias == "" {
		return ChampionAlias
	}
	return r.Alias
}

// Ready reports whether there is something to compare with. A reference that names a model alone
// is not, before a version of it has the alias.
func (r *Reference) Ready() bool { return r.Snapshot != "" || !r.To.IsZero() || r.Trailing > 0 }

// Of is the reference with the snapshot of a version of its model.
func (r Reference) Of(m Model) Reference {
	return Reference{Model: r.Model, Alias: r.Alias, Snapshot: m.Snapshot, ModelVersion: m.Version}
}

// String is the reference for people.
func (r Reference) String() string {
	own := ""
	switch {
	case r.Snapshot != "":
		own = "snapshot " + r.Snapshot
	case r.Trailing > 0:
		own = r.before()
	case r.Ready():
		own = r.From.UTC().Format(minute) + " to " + r.To.UTC().Format(minute)
	}
	switch {
	case r.Model == "":
		return own
	case r.ModelVersion != "":
		return own + " of " + r.Model + "@" + r.ModelVersion + " (" + r.AliasOrChampion() + ")"
	case own == "":
		return r.AliasOrChampion() + " of " + r.Model + ", which no version is yet"
	}
	return own + " until a version of " + r.Model + " is " + r.AliasOrChampion()
}

const minute = "2006-01-02T15:04Z"

func (r *Reference) checkModel() []Fault {
	if r.Model == "" {
		if r.Alias != "" {
			return []Fault{{"spec.reference.alias", "is of a model: give model: NAME as well"}}
		}
		return nil
	}
	f := CheckModelName("spec.reference.model", r.Model)
	if r.Alias != "" {
		f = append(f, CheckAlias("spec.reference.alias", r.Alias)...)
	}
	return f
}
