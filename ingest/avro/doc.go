// Package avro reads events in Avro's binary encoding: it writes the JSON text that
// the event would be, which then takes the same way as any other event.
//
// The one rule: an event is read exactly, or not at all with a reason. No payload
// can make it panic, run long or take more memory than its limit.
//
// What becomes of what:
//
//	null, boolean, string    null, true or false, a string
//	int, long                a number with all its digits
//	float, double            the shortest number that reads back as it; NaN and infinities are refused
//	bytes, fixed             base64, as a column of bytes reads it
//	enum                     its symbol
//	record, map              an object
//	array                    an array
//	union                    the value, without the name of its branch
//	decimal                  a number with the digits of its scale
//	date                     "2006-01-02"
//	time-*                   "15:04:05.123"
//	timestamp-*              rfc3339 in UTC, "2006-01-02T15:04:05.123Z"
//	local-timestamp-*        the same without Z
//	uuid                     its text
//	duration                 {"months":1,"days":2,"millis":3}
//
// What was written by one schema is read as another by the specification's rules of
// schema resolution. Logical types are those of the reader's schema; where both name
// one, it must be the same.
//
// Read New first, then Decoder.AppendJSON.
package avro
