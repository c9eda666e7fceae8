package tabular

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// oneByte gives its bytes one by one.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// FuzzCSVScanner holds the scanner against encoding/csv: where that reads a text
// without complaint and the two agree on what a line end is, the fields are the
// same, and however the bytes arrive.
func FuzzCSVScanner(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,\"b\"\r\n\"x\"\"y\",\"two\nlines\"\n", ",,\n\n\n1\n", "\"\"\n", "a,\"b", "\"a\"b,c\nd,e\n", "ä,\xff\n", "x\ry,z\r\n", "\"a,b\"\r\n\"c\"", "1,2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = text[:min(len(text), 1<<16)]
		var ours [][]string
		bad := false
		sc := newCSVScanner(bytes.NewReader(text), ',')
		for sc.scan() {
			if sc.bad != nil {
				bad = true
				ours = append(ours, []string{"bad", string(sc.raw)})
				continue
			}
			ours = append(ours, copied(sc.fields))
			// A record is the same when it is read again alone, which rows in doubt are.
			again := csvScanner{comma: ',', buf: append(append([]byte{}, sc.raw...), "\r\n"...), w: len(sc.raw) + 2, eof: true}
			require.True(t, again.scan())
			require.NoError(t, again.bad)
			require.Equal(t, ours[len(ours)-1], copied(again.fields))
		}
		require.NoError(t, sc.err)
		var slow [][]string
		one := newCSVScanner(oneByte{bytes.NewReader(text)}, ',')
		for one.scan() {
			if one.bad != nil {
				slow = append(slow, []string{"bad", string(one.raw)})
			} else {
				slow = append(slow, copied(one.fields))
			}
		}
		require.Equal(t, ours, slow)
		// encoding/csv makes \n of \r\n within quotes, and takes a \r before the end away.
		if bad || bytes.IndexByte(text, '\r') >= 0 {
			return
		}
		r := csv.NewReader(strings.NewReader(string(text)))
		r.FieldsPerRecord, r.LazyQuotes = -1, true
		theirs, err := r.ReadAll()
		if err != nil {
			return
		}
		strict := csv.NewReader(strings.NewReader(string(text)))
		strict.FieldsPerRecord = -1
		if _, err := strict.ReadAll(); err == nil {
			require.Equal(t, theirs, ours)
		}
	})
}

func copied(fields [][]byte) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = string(f)
	}
	return out
}
