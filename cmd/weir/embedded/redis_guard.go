package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strconv"
)

// redisGuard checks the frame of each command before miniredis parses it.
// Miniredis is made for tests: an empty command or a huge announced length ends
// the process. Here the connection ends instead.
//
// A command is "*n" and n times "$length" with that many bytes:
//
//	*2\r\n$3\r\nGET\r\n$1\r\nk\r\n
//
// Only miniredis' reading goroutine of this connection uses these fields.
type redisGuard struct {
	net.Conn
	r     *bufio.Reader
	out   []byte // checked bytes that are not handed on yet
	args  int    // arguments of this command that are still to come
	bytes int    // bytes of the present argument that are still to come, its \r\n included
}

const (
	maxRedisArgs = 1 << 20   // like Redis' own limit of arguments
	maxRedisBulk = 512 << 20 // like Redis' proto-max-bulk-len
)

var errRESP = errors.New("not a Redis command")

func newRedisGuard(c net.Conn) *redisGuard {
	return &redisGuard{Conn: c, r: bufio.NewReaderSize(c, 16<<10)}
}

func (g *redisGuard) Read(p []byte) (int, error) {
	if len(g.out) == 0 && g.bytes == 0 {
		if err := g.header(); err != nil {
			return 0, err
		}
	}
	if len(g.out) > 0 {
		n := copy(p, g.out)
		g.out = g.out[n:]
		return n, nil
	}
	if len(p) > g.bytes {
		p = p[:g.bytes]
	}
	n, err := g.r.Read(p)
	g.bytes -= n
	return n, err
}

// header reads one "*n" or "$length" line into out.
func (g *redisGuard) header() error {
	line, err := g.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return errRESP
		}
		return err
	}
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(body) < 2 {
		return errRESP
	}
	n, err := strconv.Atoi(string(body[1:]))
	if err != nil {
		return errRESP
	}
	switch {
	case g.args == 0 && body[0] == '*' && n >= 1 && n <= maxRedisArgs:
		g.args = n
	case g.args > 0 && body[0] == '$' && n >= 0 && n <= maxRedisBulk:
		g.args--
		g.bytes = n + len("\r\n")
	default:
		return errRESP
	}
	g.out = line // valid until the next read from r, which comes only when out is empty
	return nil
}
