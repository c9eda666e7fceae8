package jsonscan

// Kind is what a value is.
type Kind uint8

const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"null", "boolean", "boolean", "number", "string", "array", "object"}

// String is the JSON Schema name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Flags tell what the scan has already found out about a value.
type Flags uint8

const (
	Escaped    Flags = 1 << iota // a string with a backslash: use Doc.Text
	NonASCII                     // a string with characters above U+007F
	KeyEscaped                   // the member's key has a backslash
	Negative                     // a number with a minus sign, -0 included
	Big                          // a number of more than 19 digits: Mant and Exp are not set
	Fraction                     // a number written with '.', 'e' or 'E'
)

// Node is one value. Nodes stand in the order of the text, so a container's
// first child is the node after it and Next of a child is its next sibling:
//
//	{"a":[1,2],"b":"x"}     0 object Next=5 Len=2
//	                        1 array  Next=4 Len=2 key a
//	                        2 number, 3 number
//	                        4 string Next=5 key b
type Node struct {
	Mant     uint64 // a number is Mant * 10^Exp, negated when Negative
	Start    uint32 // the value's bytes: Data[Start:End], a string without its quotes
	End      uint32
	KeyStart uint32 // the key's bytes between the quotes; both 0 for items and the root
	KeyEnd   uint32
	Next     uint32 // index of the node after this value and all it holds
	Len      uint32 // members or items of a container
	Key      int32  // the key's symbol; 0 when it has none
	Exp      int16
	Kind     Kind
	Flags    Flags
}

// Doc is a scanned text. It refers to the bytes it was scanned from, and is
// overwritten by the next Scan into it.
type Doc struct {
	Data  []byte
	Nodes []Node
}

// Raw is the value as it was written; a string without its quotes.
func (d *Doc) Raw(i uint32) []byte { n := &d.Nodes[i]; return d.Data[n.Start:n.End] }

// Text is the string at node i: a part of the text itself where there is no
// escape, else built in buf, whose grown memory is returned second.
func (d *Doc) Text(i uint32, buf []byte) (text, grown []byte) {
	n := &d.Nodes[i]
	raw := d.Data[n.Start:n.End]
	if n.Flags&Escaped == 0 {
		return raw, buf
	}
	buf = Unescape(buf[:0], raw)
	return buf, buf
}

// AppendText appends the string at node i.
func (d *Doc) AppendText(dst []byte, i uint32) []byte {
	n := &d.Nodes[i]
	if n.Flags&Escaped == 0 {
		return append(dst, d.Data[n.Start:n.End]...)
	}
	return Unescape(dst, d.Data[n.Start:n.End])
}

// KeyText is the key of member i, like Text.
func (d *Doc) KeyText(i uint32, buf []byte) (text, grown []byte) {
	n := &d.Nodes[i]
	raw := d.Data[n.KeyStart:n.KeyEnd]
	if n.Flags&KeyEscaped == 0 {
		return raw, buf
	}
	buf = Unescape(buf[:0], raw)
	return buf, buf
}

// Find returns the member of object i with this key, 0 when there is none.
func (d *Doc) Find(i uint32, key string) uint32 {
	end := d.Nodes[i].Next
	for m := i + 1; m < end; m = d.Nodes[m].Next {
		n := &d.Nodes[m]
		raw := d.Data[n.KeyStart:n.KeyEnd]
		if n.Flags&KeyEscaped != 0 {
			raw = Unescape(nil, raw)
		}
		if string(raw) == key {
			return m
		}
	}
	return 0
}
