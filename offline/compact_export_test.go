package offline

import "context"

// CompactIn is Compact with so many bytes for inputs that are held in memory, and
// so many rows of the others decoded at once.
func CompactIn(ctx context.Context, t Table, o CompactOptions, memory, window int64) (Compacted, error) {
	return compact(ctx, t, o, memory, window)
}
