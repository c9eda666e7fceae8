package jointest

import (
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// mostTries bounds how many worlds Shrink looks at.
const mostTries = 4000

// Shrink returns the smallest world it finds that still fails: without views,
// features, facts and spine rows that are not needed, with the plainest way,
// small values and times near zero. fails is asked of every world on the way; a
// failure of another kind is as good, so let it tell them apart if it matters.
func Shrink(w *World, fails func(*World) bool) *World {
	s := &shrinker{best: w, fails: fails, left: mostTries}
	for again := true; again && s.left > 0; {
		again = false
		for _, step := range []func() bool{s.views, s.spine, s.facts, s.features, s.plain, s.times, s.values} {
			again = step() || again
		}
	}
	return s.best
}

type shrinker struct {
	best  *World
	fails func(*World) bool
	left  int
}

// try keeps a changed copy if it still fails.
func (s *shrinker) try(change func(*World)) bool {
	if s.left <= 0 {
		return false
	}
	s.left--
	c := s.best.Clone()
	change(c)
	if !c.sound() || !s.fails(c) {
		return false
	}
	s.best = c
	return true
}

// without drops parts of a list: halves first, then less and less.
func (s *shrinker) without(count func(*World) int, drop func(w *World, from, to int)) bool {
	smaller := false
	for size := (count(s.best) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < count(s.best); {
			to := min(from+size, count(s.best))
			if s.try(func(w *World) { drop(w, from, to) }) {
				smaller = true
			} else {
				from = to
			}
		}
	}
	return smaller
}

func (s *shrinker) views() bool {
	return s.without(func(w *World) int { return len(w.Views) }, func(w *World, from, to int) { w.Views = slices.Delete(w.Views, from, to) })
}

func (s *shrinker) spine() bool {
	return s.without(func(w *World) int { return len(w.Spine) }, func(w *World, from, to int) { w.Spine = slices.Delete(w.Spine, from, to) })
}

func (s *shrinker) facts() (smaller bool) {
	for i := range s.best.Views {
		smaller = s.without(func(w *World) int { return len(w.Views[i].Facts) },
			func(w *World, from, to int) { w.Views[i].Facts = slices.Delete(w.Views[i].Facts, from, to) }) || smaller
	}
	return smaller
}

func (s *shrinker) features() (smaller bool) {
	for i := range s.best.Views {
		smaller = s.without(func(w *World) int { return len(w.Views[i].Features) }, func(w *World, from, to int) {
			v := &w.Views[i]
			v.Features = slices.Delete(v.Features, from, to)
			for k := range v.Facts {
				v.Facts[k].Values = slices.Delete(v.Facts[k].Values, from, to)
			}
		}) || smaller
		smaller = s.without(func(w *World) int { return len(w.Views[i].Keys) }, func(w *World, from, to int) {
			v := &w.Views[i]
			v.Keys = slices.Delete(v.Keys, from, to)
			for k := range v.Facts {
				v.Facts[k].Keys = slices.Delete(v.Facts[k].Keys, from, to)
			}
		}) || smaller
	}
	return smaller
}

// plain makes the way, the files and the definitions plain, one after the other.
func (s *shrinker) plain() (smaller bool) {
	try := func(is bool, change func(*World)) {
		if is {
			smaller = s.try(change) || smaller
		}
	}
	try(s.best.Way.Compact, func(w *World) { w.Way.Compact = false })
	try(s.best.Way.Writer, func(w *World) { w.Way.Writer = false })
	try(s.best.Way.Commits != 0, func(w *World) { w.Way.Commits = 0 })
	try(s.best.Way.GroupRows != 0 && !s.best.Way.Writer, func(w *World) { w.Way.GroupRows = 0 })
	try(s.best.Way.PageBytes != 0 && !s.best.Way.Writer, func(w *World) { w.Way.PageBytes = 0 })
	try(s.best.Way.Cuts != nil, func(w *World) { w.Way.Cuts = nil })
	try(s.best.Way.Memory != 0, func(w *World) { w.Way.Memory = 0 })
	try(s.best.Way.Workers > 1, func(w *World) { w.Way.Workers = 1 })
	try(s.best.Clock != feature.KnownClock, func(w *World) { w.Clock = feature.KnownClock })
	for i := range s.best.Views {
		v := &s.best.Views[i]
		try(v.Files != nil, func(w *World) { w.Views[i].Files = nil })
		for f := range v.Files {
			plainest := File{Sorted: true, Bounds: true}
			try(s.best.Views[i].Files != nil && s.best.Views[i].Files[f] != plainest, func(w *World) { w.Views[i].Files[f] = plainest })
		}
		try(slices.ContainsFunc(v.Facts, func(f Fact) bool { return f.File != 0 }), func(w *World) {
			for k := range w.Views[i].Facts {
				w.Views[i].Facts[k].File = 0
			}
		})
		try(v.Evolved(), func(w *World) {
			for k := range w.Views[i].Features {
				f := &w.Views[i].Features[k]
				f.WasName, f.WasType, f.Added = "", feature.InvalidType, false
			}
			for k := range w.Views[i].Facts {
				w.Views[i].Facts[k].Old = false
			}
		})
		try(v.TTL != 0, func(w *World) { w.Views[i].TTL = 0 })
	}
	return smaller
}

// times brings all times near zero, then each fact to known when it happened.
func (s *shrinker) times() (smaller bool) {
	if base, ok := s.best.earliest(); ok && base != 0 {
		smaller = s.try(func(w *World) { w.shift(-base) })
	}
	for i := range s.best.Views {
		if by := s.best.Views[i].TTL - 2; by > 0 { // what is at the end of a ttl stays there
			smaller = s.try(func(w *World) {
				w.Views[i].TTL = 2
				for k, r := range w.Spine {
					if t, ok := r.Time.(int64); ok {
						w.Spine[k].Time = t - by
					}
				}
			}) || smaller
		}
		for k := range s.best.Views[i].Facts {
			f := &s.best.Views[i].Facts[k]
			if f.Known != f.Event {
				smaller = s.try(func(w *World) { w.Views[i].Facts[k].Known = w.Views[i].Facts[k].Event }) ||
					s.try(func(w *World) { w.Views[i].Facts[k].Event = w.Views[i].Facts[k].Known }) || smaller
			}
			if f.Dead {
				smaller = s.try(func(w *World) { w.Views[i].Facts[k].Dead = false }) || smaller
			}
		}
	}
	return smaller
}

// values numbers the values of features, and forgets what the spine carries along.
func (s *shrinker) values() (smaller bool) {
	for i := range s.best.Views {
		for c, f := range s.best.Views[i].Features {
			numbered := true
			for k, x := range s.best.Views[i].Facts {
				numbered = numbered && (x.Dead || Same(x.Values[c], int64(k+1)))
			}
			if numbered || f.WasType != feature.InvalidType {
				continue
			}
			smaller = s.try(func(w *World) {
				w.Views[i].Features[c].Type = feature.Int64
				for k := range w.Views[i].Facts {
					if f := &w.Views[i].Facts[k]; !f.Dead && !(f.Old && w.Views[i].Features[c].Added) {
						f.Values[c] = int64(k + 1)
					}
				}
			}) || smaller
		}
	}
	for i, r := range s.best.Spine {
		if r.Note != nil || r.Mark != nil {
			smaller = s.try(func(w *World) { w.Spine[i].Note, w.Spine[i].Mark = nil, nil }) || smaller
		}
		if needed := s.best.KeyFields(); len(r.Keys) > len(needed) {
			smaller = s.try(func(w *World) {
				w.Spine[i].Keys = map[string]any{}
				for _, k := range needed {
					w.Spine[i].Keys[k.Name] = r.Keys[k.Name]
				}
			}) || smaller
		}
	}
	return smaller
}

// sound tells whether a world can be had at all.
func (w *World) sound() bool {
	if len(w.Views) == 0 {
		return false
	}
	for _, v := range w.Views {
		lasting := slices.ContainsFunc(v.Features, func(f Feature) bool { return !f.Added })
		if len(v.Keys) == 0 || len(v.Features) == 0 || !lasting {
			return false
		}
	}
	return true
}

func (w *World) earliest() (at int64, ok bool) {
	see := func(t int64) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	for _, v := range w.Views {
		for _, f := range v.Facts {
			see(f.Event)
			see(f.Known)
		}
	}
	for _, r := range w.Spine {
		if t, is := r.Time.(int64); is {
			see(t)
		}
	}
	return at, ok
}

func (w *World) shift(by int64) {
	for i := range w.Views {
		for k := range w.Views[i].Facts {
			w.Views[i].Facts[k].Event += by
			w.Views[i].Facts[k].Known += by
		}
	}
	for i := range w.Spine {
		if t, ok := w.Spine[i].Time.(int64); ok {
			w.Spine[i].Time = t + by
		}
	}
}

// Clone copies what a change may touch; keys and single values are never changed in place.
func (w *World) Clone() *World {
	c := *w
	c.Views, c.Spine, c.Way.Cuts = slices.Clone(w.Views), slices.Clone(w.Spine), slices.Clone(w.Way.Cuts)
	for i := range c.Views {
		v := &c.Views[i]
		v.Keys, v.Features, v.Facts, v.Files = slices.Clone(v.Keys), slices.Clone(v.Features), slices.Clone(v.Facts), slices.Clone(v.Files)
		for k := range v.Facts {
			v.Facts[k].Keys, v.Facts[k].Values = slices.Clone(v.Facts[k].Keys), slices.Clone(v.Facts[k].Values)
		}
	}
	return &c
}
