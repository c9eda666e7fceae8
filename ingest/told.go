package ingest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/registry/feature"
)

// GroupOf names a consumer group of a source: the one that all its views share,
// and, given a view, the one with which that view catches up.
func GroupOf(project, source, view string) string {
	g := "weir." + project + "." + source
	if view != "" {
		g += "." + view
	}
	return g
}

// told is what a commit of group offsets says beside them: where the table of
// each view stands. The offsets alone do not tell, they are the smallest of all
// views. Who later finds a table behind that knows that it was set back.
//
//	weir1 <topic id, hex> <view>=<next offset> <view>=<next offset>
const told = "weir1"

// mostTold is what a broker takes as metadata, by default.
const mostTold = 4096

// tell puts what views stand at into an offset commit. The caller holds flushMu.
func (p *Pipeline) tell(cut []*partition) func(*kmsg.OffsetCommitRequest) error {
	texts := map[int32]string{}
	for _, part := range cut {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %x", told, p.topicID[:])
		for i := range part.views {
			if pv := &part.views[i]; pv.stopped == nil {
				fmt.Fprintf(&b, " %s=%d", p.Outlets[i].View.Meta.Name, pv.at.Next)
			}
		}
		if b.Len() <= mostTold {
			texts[part.id] = b.String()
		}
	}
	return func(r *kmsg.OffsetCommitRequest) error {
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if text, ok := texts[r.Topics[i].Partitions[j].Partition]; ok {
					r.Topics[i].Partitions[j].Metadata = &text
				}
			}
		}
		return nil
	}
}

// Told reads where a view's table stood when the group's offset of a partition
// was committed with that metadata; false when it does not say.
func Told(metadata, topic string, partition int32, view string) (feature.Position, bool) {
	p := feature.Position{Topic: topic, Partition: partition}
	words := strings.Fields(metadata)
	if len(words) < 2 || words[0] != told || len(words[1]) != 32 {
		return p, false
	}
	if _, err := hex.Decode(p.TopicID[:], []byte(words[1])); err != nil {
		return p, false
	}
	for _, w := range words[2:] {
		if name, next, ok := strings.Cut(w, "="); ok && name == view {
			n, err := strconv.ParseInt(next, 10, 64)
			p.Next = n
			return p, err == nil
		}
	}
	return p, false
}
