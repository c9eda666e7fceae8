package offline

import "context"

// CompactIn is Compact with so many bytes for inputs that are held in memory, of
// which it does not know when it plans, and so many rows of the others decoded at once.
func CompactIn(ctx context.Context, t Table, o CompactOptions, memory, window int64) (Compacted, error) {
	return compact(ctx, t, o, 1<<40, memory, window)
}
