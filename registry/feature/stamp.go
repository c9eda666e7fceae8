package feature

import "time"

// Stamp holds what orders the rows of one key: two times and the coordinates.
// All times are microseconds UTC.
type Stamp struct {
	Event     int64 // when it happened, by the event's own field
	Known     int64 // when Weir could know it: the created field, else the record's timestamp
	Partition int32 // -1 for imports
	Offset    int64 // row number for imports
}

// Effective is the earlier of event and known time, so that a clock running
// ahead cannot make a value win before it is known.
func (s Stamp) Effective() int64 { return min(s.Event, s.Known) }

// Compare orders the rows of one key: effective time, then known time, then
// partition and offset. Both stores and the join use this order; the row that
// it puts last is the key's value.
func (s Stamp) Compare(o Stamp) int {
	switch {
	case s.Effective() != o.Effective():
		return cmpInt(s.Effective(), o.Effective())
	case s.Known != o.Known:
		return cmpInt(s.Known, o.Known)
	case s.Partition != o.Partition:
		return cmpInt(int64(s.Partition), int64(o.Partition))
	default:
		return cmpInt(s.Offset, o.Offset)
	}
}

func cmpInt(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// Expired reports whether a row of this stamp is too old at time at. Both ends
// of the ttl are inclusive; a ttl of 0 never expires.
func (s Stamp) Expired(ttl Duration, at int64) bool {
	return ttl > 0 && s.Effective() < at-ttl.Micros()
}

// The representable range of event and known times: years 0001 to 9999, what
// RFC 3339, Parquet and every reader of ours can carry.
const (
	MinTime int64 = -62135596800_000000
	MaxTime int64 = 253402300799_999999
)

// Time turns microseconds into a time.Time in UTC.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
