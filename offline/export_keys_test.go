package offline

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// However little there is room for, the keys come once each, in order, with all
// that was seen of them.
func TestKeySet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 60 {
		want := map[string]keyState{}
		type seen struct {
			key  string
			what keyState
		}
		var all []seen
		for range r.IntN(1000) {
			s := seen{fmt.Sprintf("%0*d", 1+r.IntN(12), r.IntN(300)), []keyState{rowSeen, tombSeen}[r.IntN(2)]}
			all = append(all, s)
			want[s.key] |= s.what
		}
		room := [][2]int{{1 << 20, 1 << 20}, {1, 1 << 20}, {2, 1 << 20}, {50, 1 << 20}, {1 << 20, 300}}[n%5]
		var got []string
		var above []byte
		for {
			s := &keySet{above: above, most: room[0], bytes: room[1]}
			for _, x := range all {
				s.add([]byte(x.key), x.what)
				if s.len() > max(2, room[0]) {
					t.Fatalf("%d keys where there is room for %d", s.len(), room[0])
				}
			}
			for _, i := range s.sorted() {
				key := string(s.key(int(i)))
				require.Equal(t, want[key], s.states[i], key)
				require.EqualValues(t, i, s.get([]byte(key)))
				got = append(got, key)
			}
			require.Equal(t, -1, s.get([]byte("none")))
			if above = s.upTo; above == nil {
				break
			}
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), got)
	}
}
