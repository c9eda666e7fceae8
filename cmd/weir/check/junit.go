package check

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// JUnit's XML as Jenkins, GitLab and GitHub's reporters read it.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Failure *junitReason `xml:"failure"`
		Error   *junitReason `xml:"error"`
		Skipped *junitReason `xml:"skipped"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes a test case for each expectation and each rule of the
// schema. What failed and weighs less than level is a skipped one, with its reason.
func (o *Outcome) WriteJUnit(w io.Writer, level feature.Severity) error {
	r := junitReport{Name: "weir check " + o.Path, Time: fmt.Sprintf("%.3f", o.Took.Seconds())}
	if o.Suite != nil {
		s := junitSuite{Name: "suite " + o.Suite.Name}
		seen := map[string]int{}
		for i := range o.Suite.Report.Results {
			c := suiteCase(o, &o.Suite.Report.Results[i], level)
			if seen[c.Name]++; seen[c.Name] > 1 {
				c.Name += fmt.Sprintf(" #%d", seen[c.Name]) // reporters take cases of one name for one case
			}
			s.add(c)
		}
		r.add(s)
	}
	if o.Schema != nil {
		s := junitSuite{Name: "schema " + o.Schema.Name}
		for _, c := range o.schemaCases() {
			s.add(c)
		}
		r.add(s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func (r *junitReport) add(s junitSuite) {
	r.Suites = append(r.Suites, s)
	r.Tests, r.Failures, r.Errors, r.Skipped = r.Tests+s.Tests, r.Failures+s.Failures, r.Errors+s.Errors, r.Skipped+s.Skipped
}

func suiteCase(o *Outcome, r *expect.Result, level feature.Severity) junitCase {
	c := junitCase{Class: o.Path, Name: r.Expectation.Type}
	if cols := Columns(&r.Expectation); cols != "" {
		c.Name += " (" + cols + ")"
	}
	if r.Success {
		return c
	}
	why := &junitReason{Message: Finding(r), Type: string(r.Expectation.Level()), Text: exampleLines(r)}
	switch {
	case !weighs(r.Expectation.Level(), level):
		why.Message = "failed, but weighs less than " + string(level) + ": " + why.Message
		c.Skipped = why
	case r.Exception != "":
		c.Error = why
	default:
		c.Failure = why
	}
	return c
}

func exampleLines(r *expect.Result) string {
	var b strings.Builder
	for _, x := range r.Examples {
		fmt.Fprintf(&b, "row %d: %s\n", x.Row+1, Show(x.Value))
	}
	return b.String()
}

// schemaCases are the schema's rules, those that hold too, and what was broken beside them.
func (o *Outcome) schemaCases() []junitCase {
	broken := map[SchemaRule]*Broken{}
	for _, b := range o.Schema.Broken {
		broken[b.SchemaRule] = b
	}
	var out []junitCase
	named := map[SchemaRule]bool{}
	for _, rule := range o.Schema.rules {
		if named[rule] {
			continue
		}
		named[rule] = true
		out = append(out, o.schemaCase(rule, broken[rule]))
	}
	for _, b := range o.Schema.Broken {
		if !named[b.SchemaRule] {
			out = append(out, o.schemaCase(b.SchemaRule, b))
		}
	}
	if len(out) == 0 {
		out = append(out, o.schemaCase(SchemaRule{Keyword: "schema"}, nil))
	}
	return out
}

func (o *Outcome) schemaCase(rule SchemaRule, b *Broken) junitCase {
	c := junitCase{Class: o.Path, Name: rule.String()}
	if b == nil {
		return c
	}
	var text strings.Builder
	for _, x := range b.Examples {
		fmt.Fprintf(&text, "%s: %s\n", x.where(), x.Value)
	}
	c.Failure = &junitReason{Message: fmt.Sprintf("broken %d times: expected %s", b.Count, b.Expected), Type: string(feature.Critical), Text: text.String()}
	return c
}

func (x *RowExample) where() string {
	if x.Line > 0 {
		return fmt.Sprintf("row %d (line %d)", x.Row+1, x.Line)
	}
	return fmt.Sprintf("row %d", x.Row+1)
}
