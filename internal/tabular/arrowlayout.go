package tabular

// arrowLayout is how many parts the batches of a schema have, and those of its dictionaries. arrow-go takes as many from a
// message as the schema wants, and what stands behind a list for more of it.
type arrowLayout struct {
	columns      arrowParts
	dictionaries map[int64]arrowParts // by id
}

// arrowParts are the parts of columns, their children with them.
type arrowParts struct {
	nodes   int
	buffers int // beside those of views
	views   int // columns that say themselves how many buffers they have
	unions  int // columns that had a buffer more before version 5
}

// version5 is the version of messages since Arrow 1.0.
const version5 = 4

// Places of fields in the tables of Arrow's Schema.fbs.
const (
	fieldDictionary = 4
	encodingID      = 0
	unionMode       = 0
)

// The kinds of types, as Schema.fbs counts them, that do not have two buffers: of validity and of values.
const (
	kindNull, kindBinary, kindUtf8, kindStruct, kindFixedList = 1, 4, 5, 13, 16
	kindLargeBinary, kindLargeUtf8, kindRuns                  = 19, 20, 22
	kindBinaryView, kindUtf8View                              = 23, 24
	kindListView, kindLargeListView                           = 25, 26
)

// read takes the layout of a schema; false where it cannot be one.
func (l *arrowLayout) read(s *flatSchema, schema int) bool {
	if !s.fields(schema, schemaFields, 0) || !s.keyValues(schema, schemaMetadata) {
		return false
	}
	*l = arrowLayout{dictionaries: map[int64]arrowParts{}}
	s.left = 16 * len(s.b) // the fields were gone through once
	return l.children(s, schema, schemaFields, &l.columns)
}

// children adds the parts of a table's fields.
func (l *arrowLayout) children(s *flatSchema, table, field int, to *arrowParts) bool {
	first, n, ok := s.vector(table, field, 4)
	if !ok {
		return false
	}
	for i := range n {
		if !l.field(s, s.follow(first+4*i), to) {
			return false
		}
	}
	return true
}

func (l *arrowLayout) field(s *flatSchema, f int, to *arrowParts) bool {
	to.nodes++
	if d := s.field(f, fieldDictionary); d > 0 { // the column has indexes, and the dictionary what the field is
		to.buffers += 2
		var parts arrowParts
		ok := l.values(s, f, &parts)
		parts.nodes++
		l.dictionaries[s.int64(s.follow(d), encodingID)] = parts
		return ok
	}
	return l.values(s, f, to)
}

// values adds the buffers of a field, and its children.
func (l *arrowLayout) values(s *flatSchema, f int, to *arrowParts) bool {
	kind := s.byte(f, fieldTypeKind)
	switch kind {
	case kindNull:
	case kindRuns:
		to.unions++ // they came later; a message that says it is older is read so
	case kindStruct, kindFixedList:
		to.buffers++
	case kindBinary, kindUtf8, kindLargeBinary, kindLargeUtf8, kindListView, kindLargeListView:
		to.buffers += 3
	case kindBinaryView, kindUtf8View:
		to.buffers += 2
		to.views++
	case unionKind:
		to.buffers++
		to.unions++
		if t := s.field(f, fieldType); t > 0 && s.byte(s.follow(t), unionMode) == 1 { // dense
			to.buffers++
		}
	default:
		to.buffers += 2
	}
	return l.children(s, f, fieldChildren, to)
}
