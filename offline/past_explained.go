package offline

import "github.com/weir-ml/weir/registry/feature"

// WentBack reports whether one of these rollbacks is why a table that stands at
// next on a partition was seen at a later offset, that of seen, before.
func WentBack(rollbacks []RolledBack, seen feature.Position, next int64) bool {
	for _, b := range rollbacks {
		for _, m := range b.Moved {
			if m.TopicID == seen.TopicID && m.Partition == seen.Partition && m.Is <= next && seen.Next <= m.Was {
				return true
			}
		}
	}
	return false
}
