// Package quarantine holds bad events back, with the payload as it came, its
// coordinates and every rule that failed, in one compacted Kafka topic a view.
//
// The one rule: an entry's record key is its coordinates, so writing the same
// event again replaces the entry and never doubles it.
//
// Read Entry first.
package quarantine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// Entry is one event held back. In Kafka the record's value is the payload,
// byte for byte, and everything else stands in headers:
//
//	key               <view>/<topic id, hex>/<partition>/<offset>
//	value             the payload (empty for a null payload, see weir.null)
//	weir.project      weir.view      weir.topic      weir.topic_id (hex)
//	weir.partition    weir.offset    weir.timestamp (µs)    weir.revision
//	weir.key          the event's record key, absent when it had none
//	weir.null         "1" when the payload was null
//	weir.omitted      size of a payload too large to keep; weir.sha256 its hash
//	weir.key_omitted  size of a key too large to keep
//	weir.reasons      JSON array of feature.Reason
//	weir.discarded    JSON of Discard, on an entry that was given up; its payload and key
//	                  are left out, as those that are too large are
//
// Whether an entry was replayed does not stand there: its event's row is in the
// view's table then, and the table is what counts. See State.
type Entry struct {
	Project   string
	View      string
	Topic     string
	TopicID   [16]byte
	Partition int32 // -1 for imports
	Offset    int64 // row number for imports
	Timestamp int64 // of the record, microseconds UTC
	Revision  int64 // catalog revision that judged the event
	Key       []byte
	Payload   []byte // nil when the payload was null
	Omitted   int64  // size of the payload when it was too large to keep
	SHA256    string // hash of a payload that was too large to keep
	Reasons   []feature.Reason

	KeyOmitted int64 // size of the key when it was too large to keep

	Discarded *Discard // set when somebody gave the event up
}

// Discard says who gave an event up, when and why.
type Discard struct {
	At     int64  `json:"at"` // microseconds UTC
	By     string `json:"by,omitempty"`
	Reason string `json:"reason"`
}

// Discard leaves of the entry what an audit and a reader of the list need: where
// the event is from, how large it was and its hash, and which rules it failed, without the values.
func (e *Entry) Discard(d Discard) {
	if len(e.Payload) > 0 {
		sum := sha256.Sum256(e.Payload)
		e.Omitted, e.SHA256, e.Payload = int64(len(e.Payload)), hex.EncodeToString(sum[:]), nil
	}
	if len(e.Key) > 0 {
		e.KeyOmitted, e.Key = int64(len(e.Key)), nil
	}
	e.Reasons = slices.Clone(e.Reasons)
	for i := range e.Reasons {
		e.Reasons[i].Value = ""
	}
	e.Discarded = &d
}

// Topic is the quarantine topic of a view.
func Topic(project, view string) string { return "weir." + project + "." + view + ".quarantine" }

// ID is the entry's key: view and coordinates.
func (e *Entry) ID() string {
	return e.View + "/" + hex.EncodeToString(e.TopicID[:]) + "/" + strconv.Itoa(int(e.Partition)) + "/" + strconv.FormatInt(e.Offset, 10)
}

func (e *Entry) record() (*kgo.Record, error) {
	reasons, err := json.Marshal(e.Reasons)
	if err != nil {
		return nil, err
	}
	h := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	r := &kgo.Record{
		Topic: Topic(e.Project, e.View),
		Key:   []byte(e.ID()),
		Value: e.Payload,
		Headers: []kgo.RecordHeader{
			h("weir.project", e.Project), h("weir.view", e.View),
			h("weir.topic", e.Topic), h("weir.topic_id", hex.EncodeToString(e.TopicID[:])),
			h("weir.partition", strconv.Itoa(int(e.Partition))), h("weir.offset", strconv.FormatInt(e.Offset, 10)),
			h("weir.timestamp", strconv.FormatInt(e.Timestamp, 10)), h("weir.revision", strconv.FormatInt(e.Revision, 10)),
		},
	}
	if e.Key != nil {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "weir.key", Value: e.Key})
	}
	if e.KeyOmitted > 0 {
		r.Headers = append(r.Headers, h("weir.key_omitted", strconv.FormatInt(e.KeyOmitted, 10)))
	}
	switch {
	case e.Omitted > 0:
		r.Value = []byte{} // a null value would delete the entry on compaction
		r.Headers = append(r.Headers, h("weir.omitted", strconv.FormatInt(e.Omitted, 10)), h("weir.sha256", e.SHA256))
	case e.Payload == nil:
		r.Value = []byte{}
		r.Headers = append(r.Headers, h("weir.null", "1"))
	}
	if e.Discarded != nil {
		b, err := json.Marshal(e.Discarded)
		if err != nil {
			return nil, err
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "weir.discarded", Value: b})
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "weir.reasons", Value: reasons})
	return r, nil
}

// Parse reads an entry back from its record.
func Parse(r *kgo.Record) (*Entry, error) {
	e := &Entry{Payload: r.Value}
	if e.Payload == nil {
		e.Payload = []byte{}
	}
	var err error
	num := func(v []byte) int64 {
		n, nerr := strconv.ParseInt(string(v), 10, 64)
		if nerr != nil && err == nil {
			err = nerr
		}
		return n
	}
	for _, h := range r.Headers {
		switch h.Key {
		case "weir.project":
			e.Project = string(h.Value)
		case "weir.view":
			e.View = string(h.Value)
		case "weir.topic":
			e.Topic = string(h.Value)
		case "weir.topic_id":
			if n, herr := hex.Decode(e.TopicID[:], h.Value[:min(len(h.Value), 32)]); herr != nil || n != 16 {
				err = fmt.Errorf("weir.topic_id %q", h.Value)
			}
		case "weir.partition":
			e.Partition = int32(num(h.Value))
		case "weir.offset":
			e.Offset = num(h.Value)
		case "weir.timestamp":
			e.Timestamp = num(h.Value)
		case "weir.revision":
			e.Revision = num(h.Value)
		case "weir.key":
			e.Key = h.Value
		case "weir.null":
			e.Payload = nil
		case "weir.omitted":
			e.Omitted = num(h.Value)
		case "weir.key_omitted":
			e.KeyOmitted = num(h.Value)
		case "weir.sha256":
			e.SHA256 = string(h.Value)
		case "weir.discarded":
			e.Discarded = &Discard{}
			if jerr := json.Unmarshal(h.Value, e.Discarded); jerr != nil && err == nil {
				err = jerr
			}
		case "weir.reasons":
			if jerr := json.Unmarshal(h.Value, &e.Reasons); jerr != nil && err == nil {
				err = jerr
			}
		}
	}
	if err == nil && e.View == "" {
		err = fmt.Errorf("no weir.view header")
	}
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "quarantine.parse", fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset), "not a quarantine entry: %w", err)
	}
	return e, nil
}
