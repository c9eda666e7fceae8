package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/registry/feature"
)

// sourceLog is a topic that payloads are read from again; log is nil where it is gone.
type sourceLog struct{ log *kafkalog.Log }

func (l *sourceLog) close() {
	if l.log != nil {
		l.log.Close()
	}
}

// fetch reads the payload of an entry from the source, for quarantine had no room
// for it. It reports whether the very event is still there.
func (x *replayRun) fetch(ctx context.Context, e *quarantine.Entry) (bool, error) {
	if e.Partition == feature.ImportPartition {
		return false, nil // of files nothing is kept
	}
	l := x.logs[e.Topic]
	if l == nil {
		log, err := kafkalog.Open(ctx, x.r.Kafka, e.Topic)
		if err != nil && feature.KindOf(err) != feature.NotFound {
			return false, err
		}
		l = &sourceLog{log}
		if err != nil {
			l.log = nil
		}
		x.logs[e.Topic] = l
	}
	if l.log == nil || l.log.ID != e.TopicID {
		return false, nil
	}
	bounds, err := l.log.Bounds(ctx)
	if err != nil {
		return false, err
	}
	if b, ok := bounds[e.Partition]; !ok || e.Offset < b.Start || e.Offset >= b.End {
		return false, nil
	}
	found := false
	err = l.log.Read(ctx, e.Partition, e.Offset, e.Offset+1, func(recs []*kgo.Record) error {
		for _, rec := range recs {
			if sum := sha256.Sum256(rec.Value); rec.Offset == e.Offset && hex.EncodeToString(sum[:]) == e.SHA256 {
				e.Payload, found = rec.Value, true
				if e.KeyOmitted > 0 {
					e.Key = rec.Key
				}
			}
		}
		return nil
	})
	if errors.Is(err, kafkalog.ErrGone) {
		return false, nil
	}
	return found, err
}
