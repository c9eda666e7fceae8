package feature

// Reason says why a row was held back, or what it was warned for.
type Reason struct {
	// Rule is a stable id: an expectation's type, "schema.<keyword>", or one of the Rule constants.
	Rule string `json:"rule"`
	// Path is where: the column or the event path the rule looks at; "" for the whole event.
	Path string `json:"path,omitempty"`
	// Value is what was there, shortened to 128 bytes of valid UTF-8.
	Value string `json:"value,omitempty"`
	// Expected is what the rule wants, for people: "between 0 and 200".
	Expected string   `json:"expected,omitempty"`
	Severity Severity `json:"severity,omitempty"` // critical when empty
}

// Rules that are neither an expectation nor a schema keyword.
const (
	RuleDecode    = "decode"     // the payload is not what its format says, or a value does not fit its type
	RuleTooLarge  = "too_large"  // the payload is larger than ingest accepts
	RuleKeyNull   = "key_null"   // a join key is null or absent
	RuleEventTime = "event_time" // the event time is absent, unreadable or out of range
	RuleCreated   = "known_time" // the created field is absent, unreadable or out of range
	RuleFuture    = "max_future" // event time too far ahead of known time, or known time of the record's timestamp
	RuleTombstone = "tombstone"  // a null payload whose record key is not a join key
	RuleInternal  = "internal"   // judging the event failed inside Weir; the log has the fault
)

// Shorten cuts a value for a Reason: at most 128 bytes, valid UTF-8.
func Shorten(b []byte) string {
	s := b
	if len(s) > shortened {
		s = s[:shortened]
	}
	return toValid(s, len(b) > shortened)
}

const shortened = 128
