package redis

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a server of a cluster refuses because another one may serve it by now has the slots looked up again, at once.
func TestRefusalsAskForTheTopology(t *testing.T) {
	for text, want := range map[string]int{
		"CLUSTERDOWN a slot is served by nobody": 1,
		"LOADING Redis is loading the dataset":   1,
		"MASTERDOWN Link with MASTER is down":    1,
		"NOPERM this user has no permissions":    0,
	} {
		for _, l := range []*lane{nil, {}} {
			s := &Store{top: &topology{kick: make(chan struct{}, 1)}}
			r := &lookup{groups: []group{{lane: l, err: reply(text)}}}
			s.redirect(context.Background(), time.Now().Add(time.Hour), r, nil, nil)
			require.Len(t, s.top.kick, want, text)
			require.Equal(t, reply(text), r.groups[0].err)
		}
	}
}
