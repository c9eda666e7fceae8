package redis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// wire is one connection of lookups. It speaks RESP2 and is good for as long as every
// answer was read to its end: after any error of its own it is closed, never used again,
// so that an answer that comes late is nobody else's.
type wire struct {
	net.Conn
	raw net.Conn // below TLS: closing TLS says goodbye first, which waits on a hung server
	in  *bufio.Reader
	out []byte
}

// reply is an error that the server answered. It does not harm the connection.
type reply string

func (r reply) Error() string { return string(r) }

// RedisError makes it a goredis.Error.
func (reply) RedisError() {}

func (r reply) word() string {
	w, _, _ := strings.Cut(string(r), " ")
	return w
}

// errProtocol is an answer that no Redis gives.
var errProtocol = errors.New("the server's answer is not Redis' protocol")

// login is what a new connection says first.
type login struct {
	username, password string
	db                 int
	tls                *secure // nil: plain
	master             bool    // the server must be a master
}

// dialWire connects and logs in, within ctx.
func dialWire(ctx context.Context, addr string, l *login) (*wire, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: raw, raw: raw}
	until, _ := ctx.Deadline()
	_ = raw.SetDeadline(until)
	if l.tls != nil {
		secure := tls.Client(raw, l.tls.config(addr))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, &handshakeError{err}
		}
		w.Conn = secure
	}
	w.in = bufio.NewReaderSize(w.Conn, 16<<10)
	if err := w.hello(l); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return w, nil
}

// handshakeError is a TLS handshake that failed.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

func (w *wire) hello(l *login) error {
	var must, may [][]string
	switch {
	case l.username != "":
		must = append(must, []string{"AUTH", l.username, l.password})
	case l.password != "":
		must = append(must, []string{"AUTH", l.password})
	}
	if l.db != 0 {
		must = append(must, []string{"SELECT", strconv.Itoa(l.db)})
	}
	may = append(may, []string{"CLIENT", "SETNAME", "weir"})
	if l.master {
		may = append(may, []string{"ROLE"})
	}
	for _, c := range append(must, may...) {
		w.command(c...)
	}
	if err := w.send(); err != nil {
		return err
	}
	for range must {
		if v, err := w.value(0); err != nil {
			return err
		} else if r, ok := v.(reply); ok {
			return r
		}
	}
	for range may {
		v, err := w.value(0)
		if err != nil {
			return err
		}
		if role, ok := v.([]any); ok && len(role) > 0 && fmt.Sprintf("%s", role[0]) != "master" {
			return reply("READONLY the server that the sentinels named is no master")
		}
		// A user who may not name itself or ask for its role can look values up all the same.
		if r, ok := v.(reply); ok && r.unwelcome() {
			return r
		}
	}
	return nil
}

// unwelcome tells that the server wants no connection, whatever is asked on it: most close it after that.
func (r reply) unwelcome() bool {
	return r.word() == "NOAUTH" || r.word() == "DENIED" || strings.Contains(string(r), "max number of clients")
}

func (w *wire) close() { _ = w.raw.Close() }

// command adds a command to what will be sent.
func (w *wire) command(args ...string) {
	w.head(len(args))
	for _, a := range args {
		w.bulk(a)
	}
}

func (w *wire) head(args int) {
	w.out = append(w.out, '*')
	w.out = strconv.AppendInt(w.out, int64(args), 10)
	w.out = append(w.out, '\r', '\n')
}

func (w *wire) bulk(s string) {
	w.out = append(w.out, '$')
	w.out = strconv.AppendInt(w.out, int64(len(s)), 10)
	w.out = append(w.out, '\r', '\n')
	w.out = append(w.out, s...)
	w.out = append(w.out, '\r', '\n')
}

// mostKept is the largest buffer that a connection keeps between requests.
const mostKept = 256 << 10

func (w *wire) send() error {
	_, err := w.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > mostKept {
		w.out = nil
	}
	return err
}

// line reads a line without its end. It is valid until the next read.
func (w *wire) line() ([]byte, error) {
	b, err := w.in.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = errProtocol
		}
		return nil, err
	}
	if len(b) < 3 || b[len(b)-2] != '\r' {
		return nil, errProtocol
	}
	return b[:len(b)-2], nil
}

// number parses what stands behind a line's first byte.
func number(line []byte) (int, error) {
	b := line[1:]
	neg := len(b) > 1 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 10 {
		return 0, errProtocol
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errProtocol
		}
		n = n*10 + int(c-'0')
	}
	if neg {
		n = -n
	}
	return n, nil
}

// mostBulk is the longest text that is taken from a server: Redis' own limit.
const mostBulk = 512 << 20

// mostItems is the longest list that is taken. A view's marks take eight items for each partition and
// each import that it ever had.
const mostItems = 1 << 24

// value reads any answer: a reply, a string, an int, a []any or nil.
func (w *wire) value(depth int) (any, error) {
	line, err := w.line()
	if err != nil {
		return nil, err
	}
	switch line[0] {
	case '+':
		return string(line[1:]), nil
	case '-':
		return reply(line[1:]), nil
	case ':':
		if len(line) > 11 {
			return 0, nil // of no number that is asked for
		}
		return number(line)
	case '$':
		n, err := number(line)
		if err != nil || n < 0 {
			return nil, err
		}
		if n > mostTaken {
			return nil, errProtocol
		}
		b := make([]byte, n)
		if err := w.body(b); err != nil {
			return nil, err
		}
		return string(b), nil
	case '*':
		n, err := number(line)
		if err != nil || n < 0 {
			return nil, err
		}
		if n > mostItems || depth > 8 {
			return nil, errProtocol
		}
		list := make([]any, 0, min(n, 64))
		for range n {
			v, err := w.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return nil, errProtocol
}

// body reads a text and its line's end.
func (w *wire) body(b []byte) error {
	if _, err := io.ReadFull(w.in, b); err != nil {
		return err
	}
	return w.end()
}

func (w *wire) end() error {
	for _, want := range []byte("\r\n") {
		c, err := w.in.ReadByte()
		if err != nil {
			return err
		}
		if c != want {
			return errProtocol
		}
	}
	return nil
}

// large reads a text whose length is not to be believed before it has come.
func (w *wire) large(n int) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, w.in, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), w.end()
}

// slab is the memory of one request's values. They share it, for an allocation a value costs more
// than reading it; nobody writes to it again.
type slab struct {
	free []byte
	mean int // expected length of a value
	left int // values still to come
	used int
}

// mostTaken is how much memory is taken at once for what has not come yet.
const mostTaken = 1 << 20

func (s *slab) take(n int) []byte {
	if n == 0 {
		return []byte{} // not nil, which is no value
	}
	if n > len(s.free) {
		s.free = make([]byte, max(n, min(s.left*s.mean, mostTaken)))
	}
	b := s.free[:n:n]
	s.free = s.free[n:]
	s.used += n
	return b
}

// values reads the answer to an MGET of the keys at the given positions; of from, from+1 and so on
// where at is nil. refused is what the server said instead.
func (w *wire) values(s *slab, at []int32, from, n int, vals [][]byte) (refused, err error) {
	line, err := w.line()
	if err != nil {
		return nil, err
	}
	if line[0] == '-' {
		return reply(line[1:]), nil
	}
	if line[0] != '*' {
		return nil, errProtocol
	}
	if got, err := number(line); err != nil || got != n {
		return nil, errProtocol
	}
	for i := range n {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		if line[0] != '$' {
			return nil, errProtocol
		}
		size, err := number(line)
		if err != nil || size > mostBulk || size < -1 {
			return nil, errProtocol
		}
		s.left--
		if size < 0 {
			continue
		}
		var b []byte
		if size > mostTaken {
			b, err = w.large(size)
		} else {
			b = s.take(size)
			err = w.body(b)
		}
		if err != nil {
			return nil, err
		}
		k := from + i
		if at != nil {
			k = int(at[i])
		}
		vals[k] = b
	}
	return nil, nil
}

// ping asks whether the server serves.
func (w *wire) ping(until time.Time) error {
	_ = w.SetDeadline(until)
	w.command("PING")
	if err := w.send(); err != nil {
		return err
	}
	v, err := w.value(0)
	if err != nil {
		return err
	}
	if r, ok := v.(reply); ok && r.word() != "NOPERM" { // it does serve
		return r
	}
	return nil
}
