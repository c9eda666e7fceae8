// Package proto holds the wire: weir/v1 is Weir's own gRPC API, feast is what of
// Feast's its clients need, inference the Open Inference Protocol, as .proto files with
// the Go generated from them beside.
//
// The one rule: a released field keeps its number and its meaning for ever; new
// fields get new numbers, and removed ones are reserved.
//
// Read weir/v1/features.proto first. After editing a .proto run "go generate
// ./proto" (it needs protoc and the two plugins that generate.sh names).
package proto

//go:generate ./generate.sh
