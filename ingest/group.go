package ingest

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Protocols of a consumer group.
const (
	// ProtocolClassic has a member of the group divide the partitions. Every broker knows it.
	ProtocolClassic = "classic"
	// ProtocolConsumer has the broker divide them (KIP-848): a rebalance holds up
	// nobody who keeps what he has. Kafka 4.0 knows it, 4.3 is recommended.
	ProtocolConsumer = "consumer"
)

// protocol is how partitions are divided. Both are cooperative: who joins takes
// only what the others have given up. A broker that does not know the protocol asked
// for is asked for the other one. Groups of one protocol move to the other member by member.
func (p *Pipeline) protocol(ctx context.Context, ask *kgo.Client) []kgo.Opt {
	classic := []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	if p.Protocol != ProtocolConsumer {
		return classic
	}
	if !knowsConsumerGroups(ctx, ask) {
		p.Log.Warn("the broker does not know the group protocol consumer; using classic", "hint", "set kafka.group_protocol: classic, or use Kafka 4.0 or later")
		return classic
	}
	// The client speaks the protocol only where the first balancer is one that the
	// broker has too. The second is for a broker that lists the protocol and has it switched off.
	return []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer(), kgo.CooperativeStickyBalancer())}
}

func knowsConsumerGroups(ctx context.Context, ask *kgo.Client) bool {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1"
	resp, err := req.RequestWith(ctx, ask)
	if err != nil {
		return false
	}
	for _, k := range resp.ApiKeys {
		if k.ApiKey == int16(kmsg.ConsumerGroupHeartbeat) {
			return k.MaxVersion >= 1
		}
	}
	return false
}
