package offline

import "context"

// NewestIn is Newest with a memory of so many keys.
var NewestIn = newest

// DiffIn is Diff with a memory of so many rows.
func DiffIn(ctx context.Context, t Table, o DiffOptions, most int) (*Difference, error) {
	o.most = most
	return Diff(ctx, t, o)
}

// ExportIn makes an export look for so many entities at once.
func ExportIn(r *ExportRequest, most int) { r.most = most }

// Fewer is how many of n cases are tried: a fifth under the race detector, which
// looks at how they run, not at what comes out. The run without it has them all.
func Fewer(n int) int {
	if RaceOn {
		return max(1, n/5)
	}
	return n
}
