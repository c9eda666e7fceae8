package drift

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"github.com/weir-ml/weir/registry/feature"
)

// joined are predictions that are held in memory, each with what is known of its outcome.
//
// First predict takes all predictions, then settle puts those of a key in the order of their times, then outcome takes the outcomes.
// An outcome is of all predictions within so much time of it, and of which of them it is the last there is
// to say only the others know. So it is left at the few nodes of a tree over the key's predictions that cover them,
// and read from there: what n predictions and m outcomes of one key cost grows with (n + m) log n, not with n times m.
type joined struct {
	within int64
	bytes  int64 // about what all this takes
	n      int
	rows   [][]prediction // in pieces that stay where they are: a slice that grows is there twice for a while
	// slots find a row by key and window before settle, a group by key after it: the number and one, 0 for none.
	slots  []int32
	order  []int32 // rows, by group and event time
	groups []group
	nodes  []heard
	texts  map[string]string // a label is seldom one of many: each is there once
	steps  int64             // nodes and rows that were looked at, for tests
}

// prediction is one, with the outcome that was found.
type prediction struct {
	key    string
	hash   uint64 // of the key
	window int64  // start
	stamp  feature.Stamp
	value  value
	group  int32
	is     presence
	came   presence
	label  value
}

// group are a key's predictions, those that were deleted left out.
type group struct {
	row      int32 // one of them
	first, n int32 // in joined.order
	node     int32 // in joined.nodes: a tree of n leaves without its node 0
}

// heard is the last of some outcomes.
type heard struct {
	said
	any bool
}

const (
	pieceRows = 4096
	mostTexts = 1024 // that are there once; each further one counts
	// bytesOfRow is what a prediction takes beside its key, with two nodes of the tree, of which one of many needs nearly as many.
	bytesOfRow = int64(unsafe.Sizeof(prediction{}) + 2*unsafe.Sizeof(heard{}) + unsafe.Sizeof(group{}) + 4 + 4*3)
)

func newJoined(within int64) *joined {
	return &joined{within: within, texts: map[string]string{}}
}

// reset empties it; the memory stays.
func (t *joined) reset() {
	t.n, t.bytes, t.order, t.groups = 0, 0, t.order[:0], t.groups[:0]
	clear(t.slots)
}

func (t *joined) at(i int32) *prediction { return &t.rows[i/pieceRows][i%pieceRows] }

// slot is where a search begins.
func (t *joined) slot(hash uint64) uint64 {
	hash ^= hash >> 32
	hash *= 0x9e3779b97f4a7c15
	return hash >> 32 & uint64(len(t.slots)-1)
}

func (t *joined) slotOf(hash uint64, window int64) uint64 {
	return t.slot(hash ^ uint64(window)*0xd6e8feb86659fd93)
}

// predict takes a prediction: the last of a key and window counts.
func (t *joined) predict(hash uint64, key []byte, window int64, x *said) {
	if 2*(t.n+1) > len(t.slots) {
		t.rehash(max(1024, 2*len(t.slots)))
	}
	s := t.slotOf(hash, window)
	for ; t.slots[s] != 0; s = (s + 1) & uint64(len(t.slots)-1) {
		p := t.at(t.slots[s] - 1)
		t.steps++
		if p.hash == hash && p.window == window && p.key == string(key) {
			if p.stamp.Compare(x.stamp) < 0 {
				p.stamp, p.value, p.is = x.stamp, t.own(x.value), x.is
			}
			return
		}
	}
	t.slots[s] = int32(t.n) + 1
	t.push(prediction{key: string(key), hash: hash, window: window, stamp: x.stamp, value: t.own(x.value), is: x.is})
	t.bytes += bytesOfRow + int64(len(key)+15)
}

func (t *joined) push(p prediction) {
	if t.n == len(t.rows)*pieceRows {
		t.rows = append(t.rows, make([]prediction, pieceRows))
	}
	t.n++
	*t.at(int32(t.n - 1)) = p
}

// rehash finds the rows a place among so many slots, a power of two.
func (t *joined) rehash(slots int) {
	t.slots = make([]int32, slots)
	for i := range int32(t.n) {
		p := t.at(i)
		s := t.slotOf(p.hash, p.window)
		for t.slots[s] != 0 {
			s = (s + 1) & uint64(slots-1)
		}
		t.slots[s] = i + 1
	}
}

// own is a value whose text is not the batch's.
func (t *joined) own(v value) value {
	if v.text == "" {
		return v
	}
	text, ok := t.texts[v.text]
	if !ok {
		text = strings.Clone(v.text)
		if len(t.texts) < mostTexts {
			t.texts[text] = text
		}
		t.bytes += int64(len(text))
	}
	v.text = text
	return v
}

// keep drops the predictions of keys that are not wanted.
func (t *joined) keep(wanted func(hash uint64) bool) {
	all := t.n
	t.reset()
	for i := range int32(all) {
		if p := *t.at(i); wanted(p.hash) {
			t.push(p) // never ahead of i
			t.bytes += bytesOfRow + int64(len(p.key)+15+len(p.value.text))
		}
	}
	t.rehash(len(t.slots))
}

// all calls fn for each row, those that were deleted too.
func (t *joined) all(fn func(*prediction) error) error {
	for i := range int32(t.n) {
		if err := fn(t.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// settle puts each key's predictions in the order of their times, before outcomes are taken.
func (t *joined) settle() {
	clear(t.slots)
	for i := range int32(t.n) {
		p := t.at(i)
		if p.is == nothing {
			continue
		}
		s := t.slot(p.hash)
		for ; t.slots[s] != 0; s = (s + 1) & uint64(len(t.slots)-1) {
			t.steps++
			if t.holds(t.slots[s]-1, p.hash, p.key) {
				break
			}
		}
		if t.slots[s] == 0 {
			t.groups = append(t.groups, group{row: i})
			t.slots[s] = int32(len(t.groups))
		}
		p.group = t.slots[s] - 1
		t.groups[p.group].n++
	}
	rows, nodes := int32(0), int32(0)
	for i := range t.groups {
		g := &t.groups[i]
		g.first, g.node = rows, nodes
		rows, nodes, g.n = rows+g.n, nodes+2*g.n-1, 0
	}
	t.order = slices.Grow(t.order, int(rows))[:rows]
	for i := range int32(t.n) {
		if p := t.at(i); p.is != nothing {
			g := &t.groups[p.group]
			t.order[g.first+g.n] = i
			g.n++
		}
	}
	for i := range t.groups {
		if of := t.of(&t.groups[i]); len(of) > 1 {
			slices.SortFunc(of, func(a, b int32) int { return cmp.Compare(t.at(a).stamp.Event, t.at(b).stamp.Event) })
		}
	}
	if cap(t.nodes) < int(nodes) {
		t.nodes = make([]heard, nodes)
	}
	t.nodes = t.nodes[:nodes]
	clear(t.nodes)
}

func (t *joined) of(g *group) []int32 { return t.order[g.first : g.first+g.n] }

func (t *joined) holds(group int32, hash uint64, key string) bool {
	p := t.at(t.groups[group].row)
	return p.hash == hash && p.key == key
}

// outcome takes an outcome: of each prediction that it is near enough to, the last counts.
func (t *joined) outcome(hash uint64, key []byte, x *said) {
	if len(t.slots) == 0 {
		return
	}
	s := t.slot(hash)
	for ; t.slots[s] != 0; s = (s + 1) & uint64(len(t.slots)-1) {
		t.steps++
		if p := t.at(t.groups[t.slots[s]-1].row); p.hash == hash && p.key == string(key) {
			break
		}
	}
	if t.slots[s] == 0 {
		return
	}
	g := &t.groups[t.slots[s]-1]
	of := t.of(g)
	from := sort.Search(len(of), func(i int) bool { return t.at(of[i]).stamp.Event >= x.stamp.Event-t.within })
	to := from + sort.Search(len(of)-from, func(i int) bool { return t.at(of[from+i]).stamp.Event > x.stamp.Event+t.within })
	tree := t.tree(g)
	for l, r := from+len(of), to+len(of); l < r; l, r = l/2, r/2 {
		if l&1 == 1 {
			t.hear(&tree[l-1], x)
			l++
		}
		if r&1 == 1 {
			r--
			t.hear(&tree[r-1], x)
		}
	}
}

// tree are the nodes 1 to 2n-1 of a group of n: what is over node i is at i/2, prediction i is the leaf n+i.
func (t *joined) tree(g *group) []heard { return t.nodes[g.node : g.node+2*g.n-1] }

func (t *joined) hear(h *heard, x *said) {
	t.steps++
	if h.any && h.stamp.Compare(x.stamp) >= 0 {
		return
	}
	h.any, h.said = true, said{stamp: x.stamp, value: t.own(x.value), is: x.is}
}

// judged calls each for every prediction with its outcome.
func (t *joined) judged(each func(*prediction)) error {
	for i := range t.groups {
		g := &t.groups[i]
		tree := t.tree(g)
		for k, row := range t.of(g) {
			p := t.at(row)
			var last *heard
			for at := k + int(g.n); at >= 1; at /= 2 {
				t.steps++
				if h := &tree[at-1]; h.any && (last == nil || last.stamp.Compare(h.stamp) < 0) {
					last = h
				}
			}
			p.label, p.came = value{}, nothing
			if last != nil {
				p.label, p.came = last.value, last.is
			}
			each(p)
		}
	}
	return nil
}
