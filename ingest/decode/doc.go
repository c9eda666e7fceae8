// Package decode turns the events of one partition into columns: one scan of
// the payload's bytes, the schema's check on what the scan found, and each
// value appended to its column. No map, no reflection, and on a good event no
// allocation but the columns' own growth.
//
// The one rule: whatever is wrong with an event ends in Rejected with every
// reason, never in an error, and never in a row. A fault of the event (it is not
// JSON, fails the schema, has no usable time) holds it back for every view; a
// value that does not fit one view's column, or a missing join key of one view,
// for that view alone.
//
// How JSON becomes a column:
//
//	bool       true, false
//	int32/64   a number without fraction that fits; 3.0 and 3e0 are 3
//	float32/64 a number; one beyond the type's range is a fault, not infinity
//	string     a string
//	bytes      a string of base64, standard alphabet with padding
//	timestamp  a string in rfc3339, without an offset taken as UTC, or a whole
//	           number of microseconds since 1970
//	array<...> a list, each element by the rule of its type; one that is null or
//	           does not fit is the event's fault, named with its index: tags[3]
//
// A dot in a field's path goes down into an object. null and an absent field are null. An object that has a key twice is refused
// (see internal/jsonscan).
//
// Read New first, then Decoder.Decode and Decoder.Cut.
package decode
