// Package format reads the payloads of a source whose events are not plain JSON: Avro and
// Protocol Buffers, with or without Confluent's wire format (a zero byte, the four bytes of a schema's
// id, the event), and JSON that has it.
//
// The one rule: what a payload is read as depends on the payload and on schemas that never
// change, so that it is the same at any time. A schema registry that does not answer is
// therefore waited for (Format.Load), and never makes an event a bad one.
//
// Read Formats.Of first, then Format.
package format
