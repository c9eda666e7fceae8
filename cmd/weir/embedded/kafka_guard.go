package embedded

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRequestBytes bounds one request; real brokers have the same limit
// (socket.request.max.bytes).
const maxRequestBytes = 100 << 20

// kafkaGuard stands between the port and the broker, which believes the length
// that a client announces and has no answer for an unknown kind of request.
// Anything may connect to a port: a browser, a scanner, a TLS client. Such
// connections are closed; without this they could end the whole process.
type kafkaGuard struct {
	net.Listener
	ready <-chan struct{} // closed once the broker is set up; connections wait for it
}

func (g kafkaGuard) Accept() (net.Conn, error) {
	<-g.ready
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: c}, nil
}

// guardedConn reads requests as they are framed:
//
//	size int32 | api key int16 | version int16 | ...
//
// The first eight bytes are looked at before any of them is handed on. Only the
// broker's reading goroutine uses these fields.
type guardedConn struct {
	net.Conn
	head [8]byte
	held []byte // the part of head that is not handed on yet
	left int64  // bytes of this request that are still to come
}

func (c *guardedConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.held) == 0 && c.left == 0 {
		if _, err := io.ReadFull(c.Conn, c.head[:]); err != nil {
			return 0, err
		}
		size := int64(int32(binary.BigEndian.Uint32(c.head[:4])))
		key := int16(binary.BigEndian.Uint16(c.head[4:6]))
		if size < 8 || size > maxRequestBytes {
			return 0, fmt.Errorf("a request of %d bytes is not Kafka's", size)
		}
		if kmsg.RequestForKey(key) == nil {
			return 0, fmt.Errorf("unknown request %d", key)
		}
		// The size does not count itself, but does count the key and version.
		c.held, c.left = c.head[:], size-4
	}
	if len(c.held) > 0 {
		n := copy(p, c.held)
		c.held = c.held[n:]
		return n, nil
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	return n, err
}
