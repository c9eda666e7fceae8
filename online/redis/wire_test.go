package redis

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// pieces hands a text on in pieces, as a network does.
type pieces struct {
	text []byte
	r    *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.r.IntN(40))], p.text)
	p.text = p.text[n:]
	return n, nil
}

func wireOf(text []byte, r *rand.Rand) *wire {
	return &wire{in: bufio.NewReaderSize(&pieces{text, r}, 64+r.IntN(100))}
}

// Values of all lengths come back whole, however the answer is cut up and however wrong the guess at their length was.
func TestValuesComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 0))
	for range 500 {
		n := 1 + r.IntN(20)
		var text bytes.Buffer
		var want [][]byte
		fmt.Fprintf(&text, "*%d\r\n", n)
		for range n {
			if r.IntN(4) == 0 {
				text.WriteString("$-1\r\n")
				want = append(want, nil)
				continue
			}
			v := make([]byte, []int{0, 1, 100, 5000}[r.IntN(4)])
			for i := range v {
				v[i] = "\r\n$*-x"[r.IntN(6)]
			}
			fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(v), v)
			want = append(want, v)
		}
		text.WriteString("+PONG\r\n")
		w := wireOf(text.Bytes(), r)
		vals := make([][]byte, n+3)
		at := make([]int32, n)
		for i := range at {
			at[i] = int32(n - 1 - i)
		}
		reversed := r.IntN(2) == 0
		if !reversed {
			at = nil
		}
		refused, err := w.values(&slab{mean: r.IntN(300), left: n}, at, 0, n, vals)
		require.NoError(t, err)
		require.NoError(t, refused)
		for i, v := range want {
			k := i
			if reversed {
				k = n - 1 - i
			}
			require.Equal(t, v == nil, vals[k] == nil)
			require.True(t, bytes.Equal(v, vals[k]))
		}
		pong, err := w.value(0)
		require.NoError(t, err)
		require.Equal(t, "PONG", pong, "nothing more was read")
	}
}

func TestValuesRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 0))
	refused, err := wireOf([]byte("-MOVED 1 a:2\r\n"), r).values(&slab{}, nil, 0, 1, make([][]byte, 1))
	require.NoError(t, err)
	require.EqualError(t, refused, "MOVED 1 a:2")
	for _, text := range []string{"", "*2\r\n$1\r\na\r\n", "*1\r\n", "*1\r\n$3\r\nab\r\n", "*1\r\n$2\r\nabc\r\n", "*1\n$1\r\na\r\n", "*1\r\n:5\r\n", "*1\r\n$9999999999\r\n", "*1\r\n$-2\r\n", "*-1\r\n", "*\r\n", "$1\r\na\r\n",
		"*1\r\n$" + strings.Repeat("1", 5000) + "\r\n"} {
		_, err := wireOf([]byte(text), r).values(&slab{}, nil, 0, 1, make([][]byte, 1))
		require.Error(t, err, "%q", text)
	}
}

// FuzzWire reads anything: it ends, with an answer or an error.
func FuzzWire(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR x\r\n", ":12\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:3\r\n", "*1\r\n*1\r\n*1\r\n*0\r\n", "*65536\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w := &wire{in: bufio.NewReaderSize(bytes.NewReader(text), 64)}
		for {
			if _, err := w.value(0); err != nil {
				require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errProtocol), "%v", err)
				break
			}
		}
		w = &wire{in: bufio.NewReaderSize(bytes.NewReader(text), 64)}
		_, _ = w.values(&slab{mean: 10, left: 3}, nil, 0, 3, make([][]byte, 3))
	})
}

// The slot of a key is Redis'.
func TestSlot(t *testing.T) {
	for key, want := range map[string]uint16{"": 0, "123456789": 12739, "foo": 12182, "{user1000}.following": 3443, "foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061} {
		require.Equal(t, want, slot(key), key)
	}
}

// Marks of many partitions make long lists.
func TestLongList(t *testing.T) {
	const n = 200_000
	w := wireOf([]byte(fmt.Sprintf("*%d\r\n%s", n, strings.Repeat("$1\r\nx\r\n", n))), rand.New(rand.NewPCG(1, 0)))
	v, err := w.value(0)
	require.NoError(t, err)
	require.Len(t, v, n)
}

func TestNodeAddr(t *testing.T) {
	for _, c := range []struct{ from, host, want string }{
		{"10.0.0.1:6379", "10.0.0.2", "10.0.0.2:7000"},
		{"10.0.0.1:6379", "", "10.0.0.1:7000"},
		{"10.0.0.1:6379", "?", "10.0.0.1:7000"},
		{"10.0.0.1:6379", "127.0.0.1", "10.0.0.1:7000"},
		{"10.0.0.1:6379", "redis-2.test", "redis-2.test:7000"},
		{"127.0.0.1:6379", "127.0.0.1", "127.0.0.1:7000"},
		{"127.0.0.2:6379", "127.0.0.1", "127.0.0.1:7000"},
		{"localhost:6379", "127.0.0.1", "127.0.0.1:7000"},
		{"[::1]:6379", "::1", "[::1]:7000"},
		{"[2001:db8::1]:6379", "::1", "[2001:db8::1]:7000"},
	} {
		require.Equal(t, c.want, nodeAddr(c.from, c.host, "7000"), "%+v", c)
	}
	for text, want := range map[string][2]string{"10.0.0.1:7000": {"10.0.0.1", "7000"}, "2001:db8::1:7000": {"2001:db8::1", "7000"}, "[::1]:7000": {"::1", "7000"}, ":7000": {"", "7000"}} {
		host, port, ok := cutPort(text)
		require.True(t, ok)
		require.Equal(t, want, [2]string{host, port})
	}
}
