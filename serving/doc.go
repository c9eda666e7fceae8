// Package serving answers over gRPC, and lookups over HTTP as well. It holds the server
// (health, reflection, limits, the mapping of errors) and the lookups of
// weir.v1.FeatureService; the other services of weir.v1 are handed to it, ready
// made, by the program. A question is the same whatever wire it came over: Lookups.Ask.
//
// The one rule: status.go is the only place that turns a feature.Error into a
// status of gRPC or HTTP; what is not a feature.Error is Internal, and its text stays in the log.
//
// Answers in the request path write their own bytes (Encoded, in codec.go): weir.v1's
// and Feast's ride the same codec, and everything else is protobuf as usual.
//
// Inference is lookups as the Open Inference Protocol has them, over HTTP and gRPC: two ways to read a request
// (infer_request.go, infer_message.go) into one, and two to write what one writer makes of the answer.
//
// Read Server, then Lookups; observe.go is what lookups count, Log what is kept of a sample.
package serving
