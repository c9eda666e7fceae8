package drift

// What trails a window is nearly what trailed the one before: a pane more, one less. So panes are merged by runs of them that begin
// at fixed times, and these are merged. A run that is wholly in the time stays as it is from verdict to verdict, and is kept; read are
// only the panes of the two runs at the ends, and of the windows by which thresholds are calibrated. What comes of it does not depend on what was at
// hand: runs are merged in the same way where nothing was.

// runPanes is how many panes a run has. A week of ten minutes has 1,008 panes, so 32 runs.
const runPanes = 32

// pane is one that takes no more rows and has some.
type pane struct {
	start, end int64
	merges     int64 // of rows into it: no two profiles of it have as many
}

// run is panes that are merged first.
type run struct {
	key     cached
	panes   []pane
	merges  int64
	whole   bool     // all that there will be
	profile *Profile // nil until it is merged
	kept    bool     // it was at hand
}

// merge takes the panes of the time from from on, oldest first; read calls fn for those that are wanted, in their order;
// fn says whether the next verdicts ask for the pane again.
func (t *trailed) merge(kept *profileCache, s Series, from int64, panes []pane, read func(want []pane, fn func(*pane, *Profile) bool) error) error {
	if len(panes) == 0 {
		return nil
	}
	long := runPanes * (panes[0].end - panes[0].start)
	var runs []run
	for _, p := range panes {
		start := p.start - ((p.start%long)+long)%long
		if n := len(runs); n == 0 || runs[n-1].key.start != start {
			runs = append(runs, run{key: cached{s, start, long}, whole: start >= from && start+long <= t.to})
		}
		r := &runs[len(runs)-1]
		r.panes, r.merges = append(r.panes, p), r.merges+p.merges
	}
	var want []pane
	of := map[int64]*run{}
	for i := range runs {
		r := &runs[i]
		if r.whole {
			r.profile = kept.get(r.key, len(r.panes), r.merges)
			r.kept = r.profile != nil
		}
		if !r.kept {
			r.profile = &Profile{}
		}
		for k := range r.panes {
			p := &r.panes[k]
			if _, ok := t.chunk(p); ok || !r.kept {
				want, of[p.start] = append(want, *p), r
			}
		}
	}
	err := read(want, func(p *pane, x *Profile) bool {
		r := of[p.start]
		at, looked := t.chunk(p)
		if looked {
			t.look(at, p, x)
		}
		if !r.kept {
			r.profile.Merge(x)
		}
		return looked || !r.whole
	})
	if err != nil {
		return err
	}
	t.first = panes[0].start
	for i := range runs {
		r := &runs[i]
		t.all.Merge(r.profile)
		if r.whole && !r.kept {
			kept.put(r.key, len(r.panes), r.merges, r.profile)
		}
	}
	return nil
}

// keptProfiles bounds the memory of what a profileCache keeps.
const keptProfiles = 64 << 20

// profileCache keeps profiles of runs and panes, those that were asked for last. For one goroutine at a time.
type profileCache struct {
	most  int64 // bytes; keptProfiles when 0
	of    map[cached]*keptProfile
	bytes int64
	clock int64
}

// cached names a run by its start and length, a pane by a length of 0.
type cached struct {
	Series
	start, long int64
}

type keptProfile struct {
	*Profile
	panes  int
	merges int64 // of all its panes: as many, and nothing has come since
	bytes  int64
	used   int64
}

// get is what is kept of so many panes with so many merges, nil where there is nothing.
func (c *profileCache) get(k cached, panes int, merges int64) *Profile {
	x := c.of[k]
	if x == nil || x.panes != panes || x.merges != merges {
		return nil
	}
	c.clock++
	x.used = c.clock
	return x.Profile
}

// put keeps a profile, and lets those go that were not asked for for the longest time.
func (c *profileCache) put(k cached, panes int, merges int64, p *Profile) {
	most := c.most
	if most == 0 {
		most = keptProfiles
	}
	if c.of == nil {
		c.of = map[cached]*keptProfile{}
	}
	if old := c.of[k]; old != nil {
		if old.Profile == p {
			return
		}
		c.drop(k, old)
	}
	c.clock++
	x := &keptProfile{p, panes, merges, p.Size(), c.clock}
	c.of[k], c.bytes = x, c.bytes+x.bytes
	for c.bytes > most {
		var oldest cached
		var at *keptProfile
		for k, x := range c.of {
			if at == nil || x.used < at.used {
				oldest, at = k, x
			}
		}
		c.drop(oldest, at)
	}
}

func (c *profileCache) drop(k cached, x *keptProfile) {
	c.bytes -= x.bytes
	delete(c.of, k)
}
