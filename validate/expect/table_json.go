package expect

// PythonJSON is a JSON text with what Python writes beyond the standard put right:
// Infinity and -Infinity become 1e999 and -1e999, which are read as infinite again, and
// NaN becomes null. Texts within it stay as they are. Suites that Great
// Expectations has written may have them, in the bins of a partition_object.
func PythonJSON(doc []byte) []byte {
	var out []byte
	text, from := false, 0
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case !text && (c == 'I' || c == 'N'):
			for _, w := range [...]struct{ python, json string }{{"Infinity", "1e999"}, {"NaN", "null"}} {
				if len(doc)-i >= len(w.python) && string(doc[i:i+len(w.python)]) == w.python {
					out = append(append(out, doc[from:i]...), w.json...)
					from = i + len(w.python)
					i = from - 1
					break
				}
			}
		}
	}
	if from == 0 {
		return doc
	}
	return append(out, doc[from:]...)
}
