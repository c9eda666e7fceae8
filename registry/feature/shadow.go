package feature

import "fmt"

// checkShadow reports what is wrong with the suite in shadow.
func (v *View) checkShadow() []Fault {
	if v.ShadowSuite != "" && v.ShadowSuite == v.Suite {
		return []Fault{{"spec.shadow_suite", fmt.Sprintf("%q is the suite already: name another one to try, or leave shadow_suite out", v.ShadowSuite)}}
	}
	return nil
}
