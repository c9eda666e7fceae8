package registry

import (
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// suiteNotes says which suite begins or ends to hold rows back.
func suiteNotes(old, now *feature.View) []string {
	var out []string
	switch {
	case now.Suite == old.Suite, now.ShadowSuite == old.Suite && old.Suite != "":
	case now.Suite == "":
		out = append(out, fmt.Sprintf("suite %s holds no rows back any more", old.Suite))
	case now.Suite == old.ShadowSuite:
		out = append(out, fmt.Sprintf("suite %s, until now in shadow, holds rows back from now on", now.Suite))
	}
	if now.ShadowSuite != "" && now.ShadowSuite != old.ShadowSuite && now.ShadowSuite != now.Suite {
		note := fmt.Sprintf("suite %s is in shadow: it counts and holds nothing back", now.ShadowSuite)
		if now.ShadowSuite == old.Suite {
			note = fmt.Sprintf("suite %s holds nothing back any more, and only counts", now.ShadowSuite)
		}
		out = append(out, note)
	}
	return out
}
