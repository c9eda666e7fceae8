package quarantine

import (
	"reflect"
	"testing"

	"github.com/weir-ml/weir/registry/feature"
)

func TestPlaces(t *testing.T) {
	for path, want := range map[string]string{"": "", "age": "age", "a.b": "a.b", "tags[3]": "tags[]", "a[12].b[0]": "a[].b[]", "[7]": "[]", "a[]": "a[]", "a[x]": "a[x]", "a[": "a[", "a]": "a]", "a[1": "a[1"} {
		if got := place(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// An event is counted once for what is wrong with a list, wherever the items stand.
func TestItemsAreOneGroup(t *testing.T) {
	counts := map[[2]string]int64{}
	tally(counts, []feature.Reason{{Rule: "decode", Path: "tags[3]"}, {Rule: "schema.type", Path: "tags[3]"}, {Rule: "schema.type", Path: "tags[4]"}})
	tally(counts, []feature.Reason{{Rule: "decode", Path: "tags[40]"}, {Rule: "decode", Path: "tags"}})
	if want := map[[2]string]int64{{"decode", "tags[]"}: 2, {"schema.type", "tags[]"}: 1, {"decode", "tags"}: 1}; !reflect.DeepEqual(counts, want) {
		t.Error(counts)
	}
	e := &Entry{Reasons: []feature.Reason{{Rule: "decode", Path: "tags[3]"}}}
	for rule, want := range map[string]bool{"decode": true, "decode(tags[3])": true, "decode(tags[])": true, "decode(tags)": false, "decode(tags[4])": false, "schema.type(tags[])": false} {
		if (&Filter{Rules: []string{rule}}).Takes(e) != want {
			t.Errorf("%s: not %v", rule, want)
		}
	}
}
