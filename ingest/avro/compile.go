package avro

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-ml/weir/internal/avroschema"
)

// op is what a node does: what it reads is in node.from, what it writes is its name.
type op uint8

const (
	opFail op = iota
	opSame    // as items, which was still being made when this was handed out
	opNull
	opBoolean
	opInteger
	opFloat
	opDouble
	opText
	opBase64
	opFixed
	opDecimal
	opUUID
	opDuration
	opDate
	opClock
	opTime
	opEnum
	opArray
	opMap
	opUnion
	opRecord
)

// node reads a value of the writer's type and writes it as the reader's.
type node struct {
	op       op
	from     avroschema.Kind
	size     int // bytes of a fixed
	unit     int64
	digits   int
	local    bool
	scale    int
	prec     int
	symbols  [][]byte // JSON of each of the writer's symbols; nil where the reader has none for it
	names    []string // the writer's symbols
	items    *node
	branches []*node
	fields   []field // in the writer's order
	tail     []byte  // fields that only the reader has, as members of the object
	why      string  // of opFail
}

type field struct {
	name string
	key  []byte             // `"name":`; nil where the reader has no such field
	node *node              // where key is set
	skip *avroschema.Schema // where it is not
}

// maxNodes bounds what two schemas can be made into.
const maxNodes = 200_000

type pair struct{ w, r *avroschema.Schema }

type compiler struct {
	done  map[pair]*node
	nodes int
	room  int // values that defaults may still stand for
}

func newCompiler() *compiler { return &compiler{done: map[pair]*node{}, room: maxDefault} }

var errLarge = errors.New("the schemas are too large together")

// fails makes the node of a value that cannot be read. It matters only to events
// that have such a value.
func (n *node) fails(format string, args ...any) {
	*n = node{op: opFail, why: fmt.Sprintf(format, args...)}
}

func (c *compiler) node(w, r *avroschema.Schema) (*node, error) {
	if n := c.done[pair{w, r}]; n != nil {
		return n, nil
	}
	if c.nodes++; c.nodes > maxNodes {
		return nil, errLarge
	}
	n := &node{from: w.Kind}
	c.done[pair{w, r}] = n
	if w.Kind == avroschema.Union {
		n.op = opUnion
		for _, b := range w.Branches {
			x, err := c.node(b, r)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, x)
		}
		return n, nil
	}
	if r.Kind == avroschema.Union {
		b := avroschema.Pick(w, r)
		if b == nil {
			n.fails("the reader's %s has no branch for %s", r, w)
			return n, nil
		}
		x, err := c.node(w, b)
		if err != nil {
			return nil, err
		}
		// Only a record can contain itself, and be here while it is still being made.
		if w.Kind == avroschema.Record {
			*n = node{op: opSame, items: x}
			c.done[pair{w, r}] = x
			return x, nil
		}
		*n = *x
		return n, nil
	}
	return n, c.same(n, w, r)
}

// same makes a node of two types that are no unions.
func (c *compiler) same(n *node, w, r *avroschema.Schema) error {
	if w.Kind != r.Kind && !avroschema.Promotes(w.Kind, r.Kind) {
		n.fails("it was written as %s, which cannot be read as %s", w, r)
		return nil
	}
	if w.Kind.Named() && !r.Known(w) {
		n.fails("it was written as %s, which the reader does not know as %s", w, r)
		return nil
	}
	if w.Logical != "" && r.Logical != "" && (w.Logical != r.Logical || w.Scale != r.Scale || w.Precision > r.Precision) {
		n.fails("it was written as %s, which cannot be read as %s", w, r)
		return nil
	}
	switch r.Kind {
	case avroschema.Null:
		n.op = opNull
	case avroschema.Boolean:
		n.op = opBoolean
	case avroschema.Int, avroschema.Long:
		n.integer(r.Logical)
	case avroschema.Float:
		n.op = opFloat
	case avroschema.Double:
		n.op = opDouble
	case avroschema.String:
		n.op = opText
	case avroschema.Bytes:
		n.op = opBase64
		if r.Logical == avroschema.Decimal {
			n.op, n.prec, n.scale = opDecimal, r.Precision, r.Scale
		}
	case avroschema.Fixed:
		if w.Size != r.Size {
			n.fails("it was written with %d bytes, which cannot be read as %d", w.Size, r.Size)
			return nil
		}
		n.op, n.size = opFixed, w.Size
		switch r.Logical {
		case avroschema.Decimal:
			n.op, n.prec, n.scale = opDecimal, r.Precision, r.Scale
		case avroschema.UUID:
			n.op = opUUID
		case avroschema.Duration:
			n.op = opDuration
		}
	case avroschema.Enum:
		n.op, n.names = opEnum, w.Symbols
		for _, s := range w.Symbols {
			if !slices.Contains(r.Symbols, s) {
				s = r.Default
			}
			var text []byte
			if s != "" {
				text = []byte(`"` + s + `"`)
			}
			n.symbols = append(n.symbols, text)
		}
	case avroschema.Array, avroschema.Map:
		n.op = opArray
		if r.Kind == avroschema.Map {
			n.op = opMap
		}
		var err error
		n.items, err = c.node(w.Items, r.Items)
		return err
	case avroschema.Record:
		return c.record(n, w, r)
	}
	return nil
}

func (n *node) integer(l avroschema.Logical) {
	n.op = opInteger
	switch l {
	case avroschema.Date:
		n.op = opDate
	case avroschema.TimeMillis:
		n.op, n.unit, n.digits = opClock, 1_000, 3
	case avroschema.TimeMicros:
		n.op, n.unit, n.digits = opClock, 1_000_000, 6
	case avroschema.TimestampMillis, avroschema.LocalTimestampMillis:
		n.op, n.unit, n.digits = opTime, 1_000, 3
	case avroschema.TimestampMicros, avroschema.LocalTimestampMicros:
		n.op, n.unit, n.digits = opTime, 1_000_000, 6
	case avroschema.TimestampNanos, avroschema.LocalTimestampNanos:
		n.op, n.unit, n.digits = opTime, 1_000_000_000, 9
	}
	n.local = l == avroschema.LocalTimestampMillis || l == avroschema.LocalTimestampMicros || l == avroschema.LocalTimestampNanos
}

func (c *compiler) record(n *node, w, r *avroschema.Schema) error {
	n.op = opRecord
	n.fields = make([]field, len(w.Fields))
	for i := range w.Fields {
		n.fields[i] = field{name: w.Fields[i].Name, skip: w.Fields[i].Type}
	}
	for i, at := range avroschema.Writer(r, w) {
		f := &r.Fields[i]
		if at >= 0 {
			x, err := c.node(w.Fields[at].Type, f.Type)
			if err != nil {
				return err
			}
			n.fields[at].key, n.fields[at].node = []byte(`"`+f.Name+`":`), x
			continue
		}
		if f.Default == nil {
			n.fails("%s was written without the field %s, which has no default", w, f.Name)
			return nil
		}
		text, err := c.defaultText(f.Type, f.Default)
		if err != nil {
			return fmt.Errorf("the default of %s of %s: %w", f.Name, r, err)
		}
		if len(n.tail) > 0 {
			n.tail = append(n.tail, ',')
		}
		n.tail = append(n.tail, `"`+f.Name+`":`...)
		if n.tail = append(n.tail, text...); len(n.tail) > maxDefault {
			return errors.New("the defaults are too large")
		}
	}
	return nil
}

const maxDefault = 1 << 20

// defaultText is a default as the event would have it: it is written as an event is,
// and read by the same rules.
func (c *compiler) defaultText(s *avroschema.Schema, raw json.RawMessage) ([]byte, error) {
	v, err := value(raw)
	if err != nil {
		return nil, err
	}
	e := defaults{room: c.room}
	wire, err := e.encode(nil, s, v, 0)
	c.room = e.room
	if err != nil {
		return nil, err
	}
	// On its own, for what is still being made cannot be run.
	sub := &compiler{done: map[pair]*node{}, nodes: c.nodes, room: c.room}
	n, err := sub.node(s, s)
	c.nodes, c.room = sub.nodes, sub.room
	if err != nil {
		return nil, err
	}
	return (&Decoder{root: n, max: maxDefault}).AppendJSON(nil, wire)
}

// Check reports what is wrong with a schema that reads events: a default that is no
// value of its type.
func Check(s *avroschema.Schema) error {
	_, err := newCompiler().node(s, s)
	if err != nil {
		return err
	}
	return newCompiler().check(s, map[*avroschema.Schema]bool{})
}

func (c *compiler) check(s *avroschema.Schema, seen map[*avroschema.Schema]bool) error {
	if s == nil || seen[s] {
		return nil
	}
	seen[s] = true
	if err := c.check(s.Items, seen); err != nil {
		return err
	}
	for _, b := range s.Branches {
		if err := c.check(b, seen); err != nil {
			return err
		}
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		if err := c.check(f.Type, seen); err != nil {
			return err
		}
		if f.Default == nil {
			continue
		}
		if _, err := c.defaultText(f.Type, f.Default); err != nil {
			return fmt.Errorf("the default of %s of %s: %w", f.Name, s, err)
		}
	}
	return nil
}
