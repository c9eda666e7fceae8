package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// pretend is a server that answers what f says to each command, in Redis' protocol. "" ends the connection.
func pretend(t testing.TB, f func(args []string) string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		number := func() int {
			line, _ := in.ReadString('\n')
			n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimLeft(line, "*$")))
			return n
		}
		for {
			args := make([]string, number())
			for i := range args {
				b := make([]byte, number()+2)
				if _, err := io.ReadFull(in, b); err != nil {
					return
				}
				args[i] = string(b[:len(b)-2])
			}
			if len(args) == 0 {
				return
			}
			answer := f(args)
			if _, err := io.WriteString(c, answer); err != nil || answer == "" {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// list is a list of texts.
func list(texts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(texts))
	for _, x := range texts {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(x), x)
	}
	return b.String()
}

// A server that takes another's place is held against what that one had.
func TestSuccessorThatLacksRows(t *testing.T) {
	ctx := context.Background()
	first, second := testserver.OwnRedis(t), testserver.OwnRedis(t)
	var master atomic.Pointer[string]
	master.Store(&first.Addr)
	sentinel := pretend(t, func(args []string) string {
		if args[0] != "SENTINEL" {
			return "+OK\r\n"
		}
		host, port, _ := net.SplitHostPort(*master.Load())
		return list(host, port)
	})
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	topic := [16]byte{1}
	at := []feature.Position{{TopicID: topic, Next: 100}}
	table.Append(texts(v, 0, 100, now))
	fill := func(addr string) {
		require.NoError(t, online.NewWriter(v, open(t, addr), table, online.Options{}).Assign(ctx, at))
	}
	fill(first.Addr)

	s := impatient(t, nil, func(c *redis.Config) { c.Master = "main" }, sentinel)
	look := func() (written, never bool, failures int) {
		vals, failed := make([][]byte, 2), make([]bool, 2)
		_ = s.Lookups().Get(ctx, []string{"w:{p/customer/k7}:v", "w:{p/customer/never}:v"}, vals, failed)
		for i, f := range failed {
			if f {
				failures++
			}
			require.True(t, i > 0 || f || vals[i] != nil, "a row that was written is answered as absent")
		}
		return vals[0] != nil, !failed[1], failures
	}
	until(t, func() bool { written, never, _ := look(); return written && never }, "the first server")
	master.Store(&second.Addr)
	until(t, func() bool {
		_, _, failures := look()
		return failures == 2 && client(t, second.Addr).DBSize(ctx).Val() == 0
	}, "the second server")
	for range 20 {
		look()
	}
	fill(second.Addr)
	until(t, func() bool { written, never, _ := look(); return written && never }, "the rows to be written again")
}

// What was absent before the last lost row was written again is asked for once more.
func TestAbsenceFromBeforeTheMending(t *testing.T) {
	var mended atomic.Bool
	srv := pretend(t, func(args []string) string {
		switch {
		case args[0] == "HGETALL": // the rows come between the question for them and that for the marks
			mended.Store(true)
			part := strings.Repeat("00", 16) + "/0"
			return list("ttl", "0", part+":written", "9", part+":settled", "9")
		case args[0] != "MGET":
			return "+OK\r\n"
		case mended.Load():
			return list("value")
		}
		return "*1\r\n$-1\r\n"
	})
	vals, failed := make([][]byte, 1), make([]bool, 1)
	require.NoError(t, impatient(t, nil, nil, srv).Lookups().Get(context.Background(), []string{"w:{p/customer/k7}:v"}, vals, failed))
	require.Equal(t, []bool{false}, failed)
	require.Equal(t, "value", string(vals[0]))
}

// A server that turns a new connection away is understood, not only its closing it.
func TestUnwelcome(t *testing.T) {
	for text, want := range map[string]struct {
		kind feature.ErrorKind
		hint string
	}{
		"ERR max number of clients reached":                                           {feature.Unavailable, "maxclients"},
		"DENIED Redis is running in protected mode because protected mode is enabled": {feature.Unauthorized, "protected mode"},
	} {
		srv := pretend(t, func(args []string) string {
			if args[0] == "MGET" {
				return ""
			}
			return "-" + text + "\r\n"
		})
		vals, failed := make([][]byte, 1), make([]bool, 1)
		err := impatient(t, nil, nil, srv).Get(context.Background(), []string{"w:{p/customer/k7}:v"}, vals, failed)
		require.Equal(t, []bool{true}, failed)
		require.Equal(t, want.kind, feature.KindOf(err), "%v", err)
		require.ErrorContains(t, err, text[:10])
		require.ErrorContains(t, err, want.hint)
	}
}

// While a slot moves, entities that lack a view are answered too: for several keys of which some are not there, Redis answers neither here nor there.
func TestAbsentKeysOfASlotThatMoves(t *testing.T) {
	const absent = "*1\r\n$-1\r\n"
	there := func(arg string) string { return list("value of " + arg) }
	for name, c := range map[string]struct{ a, b bool }{ // have moved
		"nothing has moved":     {false, false},
		"one of them has":       {true, false},
		"all that is there has": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			moved := map[string]bool{"w:{p/e/1}:a": c.a, "w:{p/e/1}:b": c.b}
			var asking atomic.Bool
			to := pretend(t, func(args []string) string {
				switch {
				case args[0] == "ASKING":
					asking.Store(true)
				case args[0] == "MGET" && !asking.Swap(false):
					return "-MOVED 1 127.0.0.1:1\r\n"
				case args[0] == "MGET" && len(args) > 2:
					return "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
				case args[0] == "MGET" && moved[args[1]]:
					return there(args[1])
				case args[0] == "MGET":
					return absent
				}
				return "+OK\r\n"
			})
			var self atomic.Pointer[string]
			from := pretend(t, func(args []string) string {
				switch {
				case args[0] == "CLUSTER":
					host, port, _ := net.SplitHostPort(*self.Load())
					return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", len(host), host, port)
				case args[0] != "MGET":
					return "+OK\r\n"
				}
				here := 0
				for _, k := range args[1:] {
					if m, known := moved[k]; known && !m {
						here++
					}
				}
				switch {
				case here == 0:
					return "-ASK 1 " + to + "\r\n"
				case len(args) > 2:
					return "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
				}
				return there(args[1])
			})
			self.Store(&from)
			keys := []string{"w:{p/e/1}:a", "w:{p/e/1}:b", "w:{p/e/1}:c"}
			vals, failed := make([][]byte, 3), make([]bool, 3)
			s := impatient(t, nil, func(c *redis.Config) { c.Cluster = true }, from)
			require.NoError(t, s.Get(context.Background(), keys, vals, failed))
			require.Equal(t, []bool{false, false, false}, failed)
			require.Equal(t, "value of "+keys[0], string(vals[0]))
			require.Equal(t, "value of "+keys[1], string(vals[1]))
			require.Nil(t, vals[2])
		})
	}
}

// Who has time to look at the marks does so, even if another one's time was over before they were read.
func TestMarksOfTheImpatient(t *testing.T) {
	var asked atomic.Int64
	free := make(chan struct{})
	addr := pretend(t, func(args []string) string {
		switch args[0] {
		case "MGET":
			return "*1\r\n$-1\r\n"
		case "HGETALL":
			if asked.Add(1) == 1 {
				<-free
			}
			return "*0\r\n"
		}
		return "+OK\r\n"
	})
	s := impatient(t, nil, func(c *redis.Config) { c.BreakerFailures = 1000 }, addr)
	defer close(free)
	look := func(time time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), time)
		defer cancel()
		return s.Lookups().Get(ctx, []string{"w:{p/customer/1}:v"}, make([][]byte, 1), make([]bool, 1))
	}
	for asked.Load() == 0 {
		_ = look(100 * time.Millisecond) // fails, or the server took up the next one's question before its own
	}
	require.NoError(t, look(time.Minute))
}
