package quality

import (
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// judged is a suite of a view.
type judged struct {
	suite  *feature.Suite
	shadow bool
}

// suitesOf lists a view's suites: the enforced one, then the one in shadow.
func suitesOf(v *feature.View) []judged {
	var out []judged
	if v.SuiteOf != nil {
		out = append(out, judged{v.SuiteOf, false})
	}
	if v.ShadowOf != nil {
		out = append(out, judged{v.ShadowOf, true})
	}
	return out
}

// splitOwner takes a series' owner apart: "orders/sane" and "orders:freshness".
func splitOwner(owner string) (view, rule string, ok bool) {
	if i := strings.IndexAny(owner, "/:"); i > 0 {
		return owner[:i], owner[i+1:], true
	}
	return "", "", false
}
