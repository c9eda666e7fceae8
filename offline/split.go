package offline

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// A training set can be split into parts (train, validation, test) in two ways, both
// of which look at one row only, so that whatever else is in the spine, in whatever
// order and in how many batches, moves nobody:
//
//	hash   h = xxhash64(seed, entity); the part whose share of [0, 2^64) h lies in,
//	       the parts lying there one after the other in the order they are given
//	time   the last part that begins at or before the row's time
//
// The entity is the concatenation, for each column (the join keys of the service in
// the order of its views, or the columns that are named), of
//
//	00                           null
//	01 + 1 byte                  bool
//	01 + 8 bytes, LE             integers, timestamps (microseconds UTC); float64 bits
//	01 + length (8, LE) + bytes  text, bytes
//
// after a join key has got the type that the view gives it: int32 or int64, a
// dictionary or a plain column, CSV or Parquet are the same entity. Numbers of all
// widths have eight bytes, so a key that is widened moves nobody either.

const opSplit = "offline.split"

// checkSplit reports every fault of a split at once, each a feature.Error.
func checkSplit(s *feature.SnapshotSplit) error {
	var faults []error
	bad := func(what, hint, format string, args ...any) {
		faults = append(faults, feature.Errorf(feature.Invalid, opSplit, what, format, args...).WithHint("%s", hint))
	}
	if len(s.Parts) < 2 {
		bad("split", "name at least two, like train=80,test=20", "it has fewer than two parts")
	}
	if len(s.Parts) > maxParts {
		bad("split", "", "%d parts; %d are the most", len(s.Parts), maxParts)
		return errors.Join(faults...)
	}
	sum := int64(0)
	for i, p := range s.Parts {
		what := "part " + p.Name
		if f := feature.CheckName("split", p.Name); len(f) > 0 {
			faults = append(faults, feature.Errorf(feature.Invalid, opSplit, "split", "%s", f[0].Msg))
			what = fmt.Sprintf("part %d", i+1)
		}
		if p.Name == feature.NoPart {
			bad(what, "call the part something else", "it stands for rows without a time")
		}
		if slices.ContainsFunc(s.Parts[:i], func(o feature.SnapshotPart) bool { return o.Name == p.Name }) {
			bad(what, "give each part a name of its own", "it is there twice")
		}
		switch {
		case s.Time && p.Share != 0, !s.Time && p.From != 0:
			bad(what, "split by shares or by times", "it has a share and a time")
		case s.Time && i > 1 && p.From <= s.Parts[i-1].From:
			bad(what, "give the parts in the order of their times", "it begins no later than part %s before it", s.Parts[i-1].Name)
		case s.Time && i > 0 && (p.From < feature.MinTime || p.From > feature.MaxTime):
			bad(what, "", "its time lies outside of the years 1 to 9999")
		case !s.Time:
			n, ok := millionths(p.Share)
			if !ok {
				bad(what, "give a percentage with at most six decimals, like 80 or 0.5", "a share of %v", p.Share)
			}
			sum += n
		}
	}
	if !s.Time && len(faults) == 0 && sum != wholeShare {
		bad("split", "change one of them", "the shares add up to %v, not to 100", float64(sum)/1e6)
	}
	if s.Time && (len(s.By) > 0 || s.Seed != 0) {
		bad("split", "leave them out", "columns and seeds are for splits by hash")
	}
	return errors.Join(faults...)
}

// maxParts bounds how many files are written at once.
const maxParts = 64

// wholeShare is 100 %, in millionths of a percent.
const wholeShare = 100_000_000

// millionths is a share above 0 in millionths of a percent.
func millionths(share float64) (int64, bool) {
	if !(share > 0 && share <= 100) {
		return 0, false
	}
	n := math.Round(share * 1e6)
	return int64(n), n >= 1 && math.Abs(share*1e6-n) < 1e-3
}

// lastHashes are the last hash of each part but the last one, which takes the rest.
func lastHashes(parts []feature.SnapshotPart) []uint64 {
	out := make([]uint64, 0, len(parts)-1)
	sum := uint64(0)
	for _, p := range parts[:len(parts)-1] {
		n, _ := millionths(p.Share)
		sum += uint64(n)
		end, _ := bits.Div64(sum, 0, wholeShare) // sum/100 % of 2^64
		out = append(out, end-1)
	}
	return out
}
