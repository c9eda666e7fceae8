// Package protobuf reads events in Protocol Buffers' binary encoding: it writes the JSON
// text that the event would be, which then takes the same way as any other event.
//
// The one rule: an event is read exactly, or not at all with a reason. No payload can
// make it panic, run long or take more memory than its limit.
//
// What becomes of what:
//
//	a field's name             as the .proto file has it
//	bool, string               true or false, a string
//	whole numbers              a number with all its digits
//	float, double              the shortest number that reads back as it; NaN and infinities are refused
//	bytes                      base64, as a column of bytes reads it
//	enum                       the name of its value; the number of one that an open enum does not know
//	repeated                   an array, [] where there is none
//	map                        an object, {} where there is none
//	message, group             an object; absent where there is none
//	Timestamp                  rfc3339 in UTC, "2006-01-02T15:04:05.123456789Z"
//	wrappers (Int64Value...)   the value
//	Struct, Value, ListValue   the JSON that they stand for
//
// A field without presence that was not written has its zero value, as every reader of
// proto3 sees it; one with presence (optional, oneof, messages, proto2) is absent, or has the
// default that the file gives it. Fields that the file does not have are left out.
//
// Read New first, then Decoder.AppendJSON.
package protobuf
