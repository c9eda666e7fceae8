package quarantine

import (
	"fmt"
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
	counts := newGroups(ByReason, nil)
	counts.add(&Entry{Reasons: []feature.Reason{{Rule: "decode", Path: "tags[3]"}, {Rule: "schema.type", Path: "tags[3]"}, {Rule: "schema.type", Path: "tags[4]"}}})
	counts.add(&Entry{Reasons: []feature.Reason{{Rule: "decode", Path: "tags[40]"}, {Rule: "decode", Path: "tags"}}})
	if got, want := counts.rules(), []RuleCount{{"decode", "tags[]", 2}, {"decode", "tags", 1}, {"schema.type", "tags[]", 1}}; !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
	e := &Entry{Reasons: []feature.Reason{{Rule: "decode", Path: "tags[3]"}}}
	for rule, want := range map[string]bool{"decode": true, "decode(tags[3])": true, "decode(tags[])": true, "decode(tags)": false, "decode(tags[4])": false, "schema.type(tags[])": false} {
		if (&Filter{Rules: []string{rule}}).Takes(e) != want {
			t.Errorf("%s: not %v", rule, want)
		}
	}
}

// Groups count by what is asked, know the first and the newest event, and show no masked value.
func TestGroups(t *testing.T) {
	v := &feature.View{Features: []feature.Field{{Name: "mail", Path: "user.mail"}, {Name: "age"}}, Quality: &feature.Quality{Mask: []string{"mail"}}}
	entries := []*Entry{
		{View: "v", Topic: "t", Offset: 1, Timestamp: 500, Reasons: []feature.Reason{{Rule: "schema.type", Path: "user.mail", Value: "a@b"}, {Rule: "schema.type", Path: "age", Value: "x", Expected: "type integer"}}},
		{View: "v", Topic: "t", Offset: 2, Timestamp: 300, Reasons: []feature.Reason{{Rule: "schema.type", Path: "age", Value: "y", Expected: "type integer"}}},
		{View: "v", Topic: "t", Offset: 3, Timestamp: 400, Reasons: []feature.Reason{{Rule: "schema.minimum", Path: "age", Value: "-1"}}},
	}
	of := func(by Grouping) []Group {
		g := newGroups(by, v.Mask())
		for _, e := range entries {
			g.add(e)
		}
		return g.sorted()
	}
	age := feature.Reason{Rule: "schema.type", Path: "age", Value: "x", Expected: "type integer"}
	mail := feature.Reason{Rule: "schema.type", Path: "user.mail", Value: feature.Masked}
	least := feature.Reason{Rule: "schema.minimum", Path: "age", Value: "-1"}
	for by, want := range map[Grouping][]Group{
		ByReason: {{View: "v", Rule: "schema.type", Path: "age", Count: 2, First: 300, Last: 500, Topic: "t", Offset: 1, Reason: age},
			{View: "v", Rule: "schema.minimum", Path: "age", Count: 1, First: 400, Last: 400, Topic: "t", Offset: 3, Reason: least},
			{View: "v", Rule: "schema.type", Path: "user.mail", Count: 1, First: 500, Last: 500, Topic: "t", Offset: 1, Reason: mail}},
		ByRule: {{View: "v", Rule: "schema.type", Count: 2, First: 300, Last: 500, Topic: "t", Offset: 1, Reason: mail},
			{View: "v", Rule: "schema.minimum", Count: 1, First: 400, Last: 400, Topic: "t", Offset: 3, Reason: least}},
		ByPath: {{View: "v", Path: "age", Count: 3, First: 300, Last: 500, Topic: "t", Offset: 1, Reason: age},
			{View: "v", Path: "user.mail", Count: 1, First: 500, Last: 500, Topic: "t", Offset: 1, Reason: mail}},
	} {
		if got := of(by); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", by, got)
		}
	}
}

// However many paths there are, groups take bounded memory and every entry is counted.
func TestGroupsAreBounded(t *testing.T) {
	const paths = 5 * mostGroups
	g := newGroups(ByReason, nil)
	for i := range int64(paths) {
		g.add(&Entry{Timestamp: i, Reasons: []feature.Reason{{Rule: "schema.additionalProperties", Path: fmt.Sprint("m", i)}}})
		g.add(&Entry{Timestamp: i, Reasons: []feature.Reason{{Rule: "decode", Path: "a"}, {Rule: fmt.Sprint("rule", i), Path: fmt.Sprint("m", i)}}})
	}
	all := g.sorted()
	if len(all) > 2*mostGroups+1 {
		t.Fatal(len(all))
	}
	var sum int64
	for _, x := range all {
		sum += x.Count
	}
	if sum != 3*paths || all[0].Rule != "decode" && all[1].Rule != "decode" && all[2].Rule != "decode" {
		t.Error(sum, all[:3])
	}
}
