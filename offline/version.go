package offline

import (
	"regexp"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// newestName is how the zero Version is written; no tag may be called so.
const newestName = "newest"

// ParseVersion reads what people write after --version: a snapshot's number, a
// time (RFC 3339) or a date (its first moment in UTC), else a tag. "" and
// "newest" are the newest state.
func ParseVersion(text string) (Version, error) {
	if text == "" || text == newestName {
		return Version{}, nil
	}
	if digits(text) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n == 0 {
			return Version{}, feature.Errorf(feature.Invalid, "offline.version", text, "not the number of a snapshot").
				WithHint("weir table log lists the snapshots of a view's table")
		}
		return Version{Snapshot: n}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			if at.Year() < 1970 {
				return Version{}, feature.Errorf(feature.Invalid, "offline.version", text, "no table is that old")
			}
			// 0 would be the newest state.
			return Version{At: max(1, at.UnixMicro())}, nil
		}
	}
	if likeTime.MatchString(text) {
		return Version{}, feature.Errorf(feature.Invalid, "offline.version", text, "not a time").
			WithHint("write a time with its zone, like 2026-03-01T12:00:00Z, or a date, like 2026-03-01")
	}
	return Version{Tag: text}, nil
}

// likeTime is what was meant as a time; a tag may begin with a date and a dash all the same.
var likeTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d($|[T ]\d)`)

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// String is the version as ParseVersion reads it.
func (v Version) String() string {
	switch {
	case v.Tag != "":
		return v.Tag
	case v.Snapshot != 0:
		return strconv.FormatInt(v.Snapshot, 10)
	case v.At != 0:
		return time.UnixMicro(v.At).UTC().Format(time.RFC3339Nano)
	}
	return newestName
}

// CheckTag refuses names for tags that could not be told from another kind of
// version, or that name the table's branch.
func CheckTag(view *feature.View, name string) error {
	v, err := ParseVersion(name)
	if err == nil && v.Tag == name && name != "" && name != "main" {
		return nil
	}
	return feature.Errorf(feature.Invalid, "offline.tag", "view "+view.ID()+" tag "+strconv.Quote(name), "not a name for a tag").
		WithHint("a tag must not look like a snapshot's number, a time or a date, nor be main or newest")
}
