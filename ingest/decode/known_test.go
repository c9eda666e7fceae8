package decode

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// TestKnownOfReplay: a replay says when its events are known. The limit on event
// times counts from there, a created field has no say but must be readable.
func TestKnownOfReplay(t *testing.T) {
	v := view("v", 1, "id:string", "x:int64")
	at := func(d time.Duration) string { return feature.Time(noon).Add(d).Format(time.RFC3339Nano) }
	known := noon + time.Hour.Microseconds()
	for _, c := range []struct {
		what, created, event, rules string
		imports                     bool
		e                           time.Duration
	}{
		{"an event that was too far ahead once", "", fmt.Sprintf(`"ts":%q`, at(30*time.Minute)), "", false, 30 * time.Minute},
		{"one that still is", "", fmt.Sprintf(`"ts":%q`, at(66*time.Minute)), "max_future(ts)", false, 0},
		{"a created field far ahead", "c", fmt.Sprintf(`"ts":%q,"c":%q`, at(0), at(20*time.Hour)), "", false, 0},
		{"a created field that cannot be read", "c", fmt.Sprintf(`"ts":%q,"c":7`, at(0)), "known_time(c)", false, 0},
		{"a row of a file", "", fmt.Sprintf(`"ts":%q`, at(-time.Hour)), "", true, -time.Hour},
	} {
		d := decoder(t, source("", "ts", c.created), Options{Import: c.imports, Known: known}, v)
		d.Decode(Record{Value: []byte(`{"id":"k",` + c.event + `}`), Timestamp: noon})
		d.Decode(Record{Value: []byte(`{"id":1}`), Timestamp: noon, Offset: 1}) // makes no difference to the others
		res := d.Cut(feature.Origin{})[0]
		sound(t, res)
		if c.rules != "" {
			if len(res.Rejected) != 2 || rules(res.Rejected[0].Reasons) != c.rules {
				t.Errorf("%s: %+v", c.what, res.Rejected)
			}
			continue
		}
		if res.Batch.Len() != 1 || res.Batch.KnownTime[0] != known || res.Batch.EventTime[0] != noon+c.e.Microseconds() {
			t.Errorf("%s: %+v %+v", c.what, res.Batch.KnownTime, res.Rejected)
		}
	}
	d := decoder(t, source("", "ts", ""), Options{Known: known}, v)
	d.Decode(Record{Key: []byte("k"), Timestamp: noon})
	if b := d.Cut(feature.Origin{})[0].Batch; b.Len() != 1 || b.EventTime[0] != noon || b.KnownTime[0] != known || !b.Deleted(0) {
		t.Errorf("a tombstone: %+v", b)
	}
}
