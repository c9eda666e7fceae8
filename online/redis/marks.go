package redis

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/online"
)

func partName(topicID [16]byte, partition int32) string {
	return hex.EncodeToString(topicID[:]) + "/" + strconv.Itoa(int(partition))
}

// Marks reads the marks of every shard and keeps the worst of each.
func (s *Store) Marks(ctx context.Context, view string) (online.Marks, error) {
	keys, err := s.shards.keys(ctx, view, true)
	if err != nil {
		return online.Marks{}, s.classify("marks", err)
	}
	var all []online.Marks
	for _, k := range keys {
		h, err := s.writes.HGetAll(ctx, k).Result()
		if err != nil {
			return online.Marks{}, s.classify("marks", err)
		}
		all = append(all, parseMarks(h))
	}
	return worst(all), nil
}

func parseMarks(h map[string]string) online.Marks {
	var m online.Marks
	number := func(f string) int64 { n, _ := strconv.ParseInt(h[f], 10, 64); return n }
	m.TTL = number("ttl")
	for f := range h {
		part, ok := strings.CutSuffix(f, ":written")
		if !ok {
			continue
		}
		id, num, _ := strings.Cut(part, "/")
		raw, err1 := hex.DecodeString(id)
		n, err2 := strconv.ParseInt(num, 10, 32)
		if err1 != nil || err2 != nil || len(raw) != 16 {
			continue
		}
		m.Part = append(m.Part, online.Mark{
			TopicID: [16]byte(raw), Partition: int32(n),
			Written: number(f), Settled: number(part + ":settled"),
			LostFrom: number(part + ":lost_from"), LostTo: number(part + ":lost_to"),
		})
	}
	return m
}

// worst merges the marks of shards. A partition that one shard does not know is
// left out: that shard has nothing of it.
func worst(all []online.Marks) online.Marks {
	m := all[0]
	for _, o := range all[1:] {
		if o.TTL != 0 && (m.TTL == 0 || o.TTL < m.TTL) {
			m.TTL = o.TTL // 0 is no ttl
		}
		both := m.Part[:0:0]
		for _, a := range m.Part {
			b, ok := o.Find(a.TopicID, a.Partition)
			if !ok {
				continue
			}
			if b.LostFrom < b.LostTo {
				if a.LostFrom >= a.LostTo {
					a.LostFrom, a.LostTo = b.LostFrom, b.LostTo
				}
				a.LostFrom, a.LostTo = min(a.LostFrom, b.LostFrom), max(a.LostTo, b.LostTo)
			}
			a.Written, a.Settled = min(a.Written, b.Written), min(a.Settled, b.Settled)
			both = append(both, a)
		}
		m.Part = both
	}
	return m
}

// Settle runs settleScript on every shard.
func (s *Store) Settle(ctx context.Context, view string, ttl int64, list []online.Settlement, seen []online.Mark) (lost bool, err error) {
	keys, err := s.shards.keys(ctx, view, false)
	if err != nil {
		return false, s.classify("settle", err)
	}
	args := []any{ttl, len(seen)}
	for _, m := range seen {
		args = append(args, partName(m.TopicID, m.Partition), m.Good())
	}
	for _, x := range list {
		args = append(args, partName(x.TopicID, x.Partition), x.Settled, x.Written, x.MendedFrom, x.MendedTo, x.StillFrom, x.Reset)
	}
	calls := make([]*call, len(keys))
	for i, k := range keys {
		calls[i] = &call{script: &settleScript, keys: []any{k}, args: args}
	}
	done, err := s.tally(ctx, calls)
	if err != nil {
		return false, s.classify("settle", err)
	}
	return done < len(calls), nil
}

// Forget drops marks on every shard.
func (s *Store) Forget(ctx context.Context, view string, list []online.Mark) error {
	if len(list) == 0 {
		return nil
	}
	keys, err := s.shards.keys(ctx, view, true)
	if err != nil {
		return s.classify("forget", err)
	}
	var fields []string
	for _, m := range list {
		part := partName(m.TopicID, m.Partition)
		fields = append(fields, part+":written", part+":settled", part+":lost_from", part+":lost_to")
	}
	for _, k := range keys {
		if err := s.writes.HDel(ctx, k, fields...).Err(); err != nil {
			return s.classify("forget", err)
		}
	}
	return nil
}
