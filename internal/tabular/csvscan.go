package tabular

import (
	"bytes"
	"errors"
	"io"
)

// MaxRow is the longest row a text file may have, in bytes.
const MaxRow = 64 << 20

// csvScanner cuts a stream into records. A quoted field may hold separators,
// doubled quotes and line breaks; a quote inside an unquoted field is an
// ordinary character. Blank lines are skipped.
//
// A record whose quotes do not close, or are followed by text, is malformed. It
// then ends with its first line and scanning goes on with the second: a stray
// quote costs one line, not the rest of the file.
type csvScanner struct {
	src   io.Reader
	comma byte
	buf   []byte
	r, w  int // unread bytes are buf[r:w]
	eof   bool
	err   error // of the source; ends the scan
	lines int64 // line breaks before r

	// The record, valid until the next scan.
	line    int64    // line of its first byte, from 1
	fields  [][]byte // unescaped
	quoted  []bool   // field was in quotes
	raw     []byte   // as in the file, without the last line break
	bad     error    // malformed: fields are void
	scratch []byte
	offset  int64 // bytes consumed from src
}

var (
	errQuoteOpen  = errors.New("a quoted value is not closed")
	errQuoteAfter = errors.New("text follows a closing quote")
	errRowTooLong = errors.New("the row is longer than 64 MiB")
)

func newCSVScanner(src io.Reader, comma byte) *csvScanner {
	return &csvScanner{src: src, comma: comma, buf: make([]byte, 256<<10)}
}

// fill reads more, keeping buf[r:w]; false when there is no more.
func (s *csvScanner) fill() bool {
	if s.eof {
		return false
	}
	if s.r > 0 {
		copy(s.buf, s.buf[s.r:s.w])
		s.w -= s.r
		s.r = 0
	}
	if s.w == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for {
		n, err := s.src.Read(s.buf[s.w:])
		s.w += n
		if err != nil {
			s.eof = true
			if !errors.Is(err, io.EOF) {
				s.err = err
			}
		}
		if n > 0 || s.eof {
			return n > 0
		}
	}
}

// scan moves to the next record; false at the end or when the source failed (s.err).
func (s *csvScanner) scan() bool {
	s.bad = nil
	from := 0 // bytes of the line already searched for its end
	for s.err == nil {
		i := bytes.IndexByte(s.buf[s.r+from:s.w], '\n')
		if i < 0 && s.w-s.r > MaxRow {
			return s.tooLong()
		}
		if i < 0 {
			from = s.w - s.r
			if s.fill() {
				continue
			}
			if s.err != nil || s.r == s.w {
				return false
			}
			i = s.w - s.r // the last line has no line break
		} else {
			i += from
		}
		from = 0
		end := s.r + i
		line := trimCR(s.buf[s.r:end])
		if len(line) == 0 {
			s.consume(min(end+1, s.w))
			continue
		}
		s.line = s.lines + 1
		if bytes.IndexByte(line, '"') < 0 {
			s.split(line)
			s.raw = line
			s.consume(min(end+1, s.w))
			return true
		}
		stop, err := s.parse()
		if errors.Is(err, errMore) {
			if s.w-s.r <= MaxRow && !s.eof {
				s.fill() // moves the bytes: the line is found anew even if there are no more
				continue
			}
			err = errQuoteOpen
		}
		if err != nil {
			s.bad, s.raw, stop = err, line, end
		} else {
			s.raw = trimCR(s.buf[s.r:stop])
		}
		s.consume(min(stop+1, s.w))
		return true
	}
	return false
}

func (s *csvScanner) consume(to int) {
	s.lines += int64(bytes.Count(s.buf[s.r:to], []byte{'\n'}))
	s.offset += int64(to - s.r)
	s.r = to
}

// tooLong drops the rest of a line that never ends.
func (s *csvScanner) tooLong() bool {
	s.line = s.lines + 1
	head := append([]byte(nil), s.buf[s.r:s.r+1024]...)
	for {
		if i := bytes.IndexByte(s.buf[s.r:s.w], '\n'); i >= 0 {
			s.consume(s.r + i + 1)
			break
		}
		s.consume(s.w)
		if !s.fill() {
			break
		}
	}
	s.bad, s.raw = errRowTooLong, head
	return s.err == nil
}

func trimCR(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	return b
}

// split cuts a line without quotes.
func (s *csvScanner) split(line []byte) {
	s.fields, s.quoted = s.fields[:0], s.quoted[:0]
	for {
		i := bytes.IndexByte(line, s.comma)
		s.quoted = append(s.quoted, false)
		if i < 0 {
			s.fields = append(s.fields, line)
			return
		}
		s.fields = append(s.fields, line[:i])
		line = line[i+1:]
	}
}

var errMore = errors.New("more bytes are needed")

// parse cuts a record with quotes; stop is the index of its last line break, or w.
func (s *csvScanner) parse() (stop int, err error) {
	s.fields, s.quoted, s.scratch = s.fields[:0], s.quoted[:0], s.scratch[:0]
	p := s.r
	for {
		if p < s.w && s.buf[p] == '"' {
			var field []byte
			if field, p, err = s.unquote(p + 1); err != nil {
				return 0, err
			}
			s.fields, s.quoted = append(s.fields, field), append(s.quoted, true)
			switch {
			case p < s.w && s.buf[p] == s.comma:
				p++
				continue
			case p < s.w && s.buf[p] == '\n', p+1 < s.w && s.buf[p] == '\r' && s.buf[p+1] == '\n':
				return p + bytes.IndexByte(s.buf[p:s.w], '\n'), nil
			case p == s.w && s.eof, p+1 == s.w && s.buf[p] == '\r' && s.eof:
				return s.w, nil
			case p == s.w, p+1 == s.w && s.buf[p] == '\r':
				return 0, errMore
			}
			return 0, errQuoteAfter
		}
		end := bytes.IndexByte(s.buf[p:s.w], '\n')
		if end < 0 {
			if !s.eof {
				return 0, errMore
			}
			end = s.w
		} else {
			end += p
		}
		if i := bytes.IndexByte(s.buf[p:end], s.comma); i >= 0 {
			s.fields, s.quoted = append(s.fields, s.buf[p:p+i]), append(s.quoted, false)
			p += i + 1
			continue
		}
		s.fields, s.quoted = append(s.fields, trimCR(s.buf[p:end])), append(s.quoted, false)
		return end, nil
	}
}

// unquote reads a quoted field from after its opening quote; next is the index after its closing one.
func (s *csvScanner) unquote(p int) (field []byte, next int, err error) {
	start, kept := p, len(s.scratch)
	escaped := false
	for {
		i := bytes.IndexByte(s.buf[p:s.w], '"')
		if i < 0 {
			return nil, 0, errMore
		}
		q := p + i
		if q+1 == s.w && !s.eof {
			return nil, 0, errMore
		}
		if q+1 < s.w && s.buf[q+1] == '"' {
			escaped = true
			s.scratch = append(s.scratch, s.buf[p:q+1]...)
			p = q + 2
			continue
		}
		if !escaped {
			return s.buf[start:q], q + 1, nil
		}
		s.scratch = append(s.scratch, s.buf[p:q]...)
		return s.scratch[kept:len(s.scratch):len(s.scratch)], q + 1, nil
	}
}
