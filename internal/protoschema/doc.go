// Package protoschema reads the text of .proto files: the way in decodes events by
// them, the catalog compares two versions of one.
//
// The one rule: a file is read from what it is given with, never from the disk or the
// network; the files that come with protobuf itself are always there.
package protoschema
