package expect

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a condition: nobody writes more, and a parser that recurses must end.
const (
	maxConditionDepth = 100
	maxConditionBytes = 64 << 10
)

var errTooDeep = fmt.Errorf("it nests deeper than %d", maxConditionDepth)

// text reads a condition as pandas' DataFrame.query has it, or with col("x") for
// the columns. As there, & and | bind like "and" and "or", and comparisons chain.
func (p *conditionReader) text(s string) (test, error) {
	if len(s) > maxConditionBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", maxConditionBytes)
	}
	toks, err := conditionTokens(s)
	if err != nil {
		return nil, err
	}
	q := &conditionParser{conditionReader: p, toks: toks}
	t, err := q.or(0)
	if err != nil {
		return nil, err
	}
	if !q.at("") {
		return nil, fmt.Errorf("%q was not expected", q.toks[0].text)
	}
	return t, nil
}

type tokenKind uint8

const (
	endToken tokenKind = iota
	nameToken
	valueToken // a number or text; text is JSON
	signToken
)

type token struct {
	kind tokenKind
	text string
}

type conditionParser struct {
	*conditionReader
	toks []token // what is left; the last one is endToken
}

// at reports whether the next token is the sign or word, "" for the end.
func (q *conditionParser) at(words ...string) bool {
	t := q.toks[0]
	for _, w := range words {
		if t.kind == endToken && w == "" || (t.kind == signToken || t.kind == nameToken) && t.text == w && w != "" {
			return true
		}
	}
	return false
}

func (q *conditionParser) take() token {
	t := q.toks[0]
	if t.kind != endToken {
		q.toks = q.toks[1:]
	}
	return t
}

func (q *conditionParser) expect(sign string) error {
	if !q.at(sign) {
		return fmt.Errorf("%q is missing before %q", sign, q.toks[0].text)
	}
	q.take()
	return nil
}

func (q *conditionParser) or(depth int) (test, error) {
	t, err := q.and(depth)
	for err == nil && q.at("or", "|", "OR") {
		q.take()
		var u test
		if u, err = q.and(depth); err == nil {
			t = either(t, u)
		}
	}
	return t, err
}

func (q *conditionParser) and(depth int) (test, error) {
	t, err := q.not(depth)
	for err == nil && q.at("and", "&", "AND") {
		q.take()
		var u test
		if u, err = q.not(depth); err == nil {
			t = both(t, u)
		}
	}
	return t, err
}

func (q *conditionParser) not(depth int) (test, error) {
	if depth > maxConditionDepth {
		return nil, errTooDeep
	}
	switch {
	case q.at("not", "~", "NOT"):
		q.take()
		t, err := q.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return not(t), nil
	case q.at("("):
		q.take()
		t, err := q.or(depth + 1)
		if err != nil {
			return nil, err
		}
		return t, q.expect(")")
	}
	return q.comparison()
}

// comparison reads x < y, also chained, x in [...], x.isnull(), or a bare column.
func (q *conditionParser) comparison() (test, error) {
	x, err := q.operand()
	if err != nil {
		return nil, err
	}
	if q.at(".") {
		return q.method(x)
	}
	var all test
	for {
		op, ok := q.operator()
		if !ok {
			break
		}
		y, err := q.operand()
		if err != nil {
			return nil, err
		}
		t, err := q.compare(x, op, y)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = t
		} else {
			all = both(all, t)
		}
		x = y
	}
	switch {
	case all != nil:
		return all, nil
	case x.column >= 0:
		return q.isTrue(x.column)
	}
	return nil, fmt.Errorf("%s is no condition", short(x.value))
}

func (q *conditionParser) operator() (string, bool) {
	switch {
	case q.at("==", "!=", "<", "<=", ">", ">="):
		return q.take().text, true
	case q.at("in"):
		q.take()
		return "in", true
	case q.at("not") && len(q.toks) > 1 && q.toks[1].text == "in" && q.toks[1].kind == nameToken:
		q.take()
		q.take()
		return "not in", true
	}
	return "", false
}

// method reads what follows the point of x.isnull().
func (q *conditionParser) method(x operand) (test, error) {
	q.take()
	name := q.take()
	null, known := map[string]bool{"isnull": true, "isna": true, "isNull": true, "notnull": false, "notna": false, "notNull": false, "isNotNull": false}[name.text]
	if !known || name.kind != nameToken || x.column < 0 {
		return nil, fmt.Errorf(".%s cannot be asked here", name.text)
	}
	if err := q.expect("("); err != nil {
		return nil, err
	}
	return isNull(x.column, null), q.expect(")")
}

func (q *conditionParser) operand() (operand, error) {
	t := q.take()
	switch {
	case t.kind == valueToken:
		return operand{column: -1, value: json.RawMessage(t.text)}, nil
	case t.kind == signToken && t.text == "-":
		n := q.take()
		if n.kind != valueToken || n.text[0] == '"' {
			return operand{}, errors.New("a number must follow -")
		}
		return operand{column: -1, value: json.RawMessage("-" + n.text)}, nil
	case t.kind == signToken && (t.text == "[" || t.text == "("):
		return q.list(map[string]string{"[": "]", "(": ")"}[t.text])
	case t.kind == nameToken && (t.text == "True" || t.text == "False" || t.text == "true" || t.text == "false"):
		return operand{column: -1, value: json.RawMessage(strings.ToLower(t.text))}, nil
	case t.kind == nameToken && t.text == "col" && q.at("("):
		q.take()
		n := q.take()
		var name string
		if n.kind != valueToken || json.Unmarshal([]byte(n.text), &name) != nil {
			return operand{}, errors.New(`col needs the name of a column: col("x")`)
		}
		if err := q.expect(")"); err != nil {
			return operand{}, err
		}
		i, err := q.column(name)
		return operand{column: i}, err
	case t.kind == nameToken && q.at("("):
		return operand{}, fmt.Errorf("functions like %s cannot be called", t.text)
	case t.kind == nameToken:
		i, err := q.column(strings.Trim(t.text, "`"))
		return operand{column: i}, err
	case t.kind == endToken:
		return operand{}, errors.New("it ends too early")
	}
	return operand{}, fmt.Errorf("%q was not expected", t.text)
}

func (q *conditionParser) list(end string) (operand, error) {
	vals := []string{}
	for !q.at(end) {
		o, err := q.operand()
		if err != nil {
			return operand{}, err
		}
		if o.column >= 0 || o.value[0] == '[' {
			return operand{}, errors.New("a list has values only")
		}
		vals = append(vals, string(o.value))
		if !q.at(",") {
			break
		}
		q.take()
	}
	return operand{column: -1, value: json.RawMessage("[" + strings.Join(vals, ",") + "]")}, q.expect(end)
}

// conditionTokens cuts a condition into names, values and signs.
func conditionTokens(s string) ([]token, error) {
	var out []token
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return append(out, token{endToken, "the end"}), nil
		}
		n := 0
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\'':
			text, rest, err := conditionString(s)
			if err != nil {
				return nil, err
			}
			b, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			out, s = append(out, token{valueToken, string(b)}), rest
			continue
		case r == '`':
			end := strings.IndexByte(s[1:], '`')
			if end < 0 {
				return nil, errors.New("a ` is not closed")
			}
			out, s = append(out, token{nameToken, s[:end+2]}), s[end+2:]
			continue
		case r >= '0' && r <= '9' || r == '.' && len(s) > 1 && s[1] >= '0' && s[1] <= '9':
			for n < len(s) && (isAlnum(s[n]) || s[n] == '.' || (s[n] == '-' || s[n] == '+') && (s[n-1] == 'e' || s[n-1] == 'E')) {
				n++
			}
			text, err := conditionNumber(s[:n])
			if err != nil {
				return nil, err
			}
			out = append(out, token{valueToken, text})
		case r == '_' || unicode.IsLetter(r):
			for n < len(s) {
				r, size := utf8.DecodeRuneInString(s[n:])
				if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
					break
				}
				n += size
			}
			out = append(out, token{nameToken, s[:n]})
		default:
			n = size
			for _, two := range [...]string{"==", "!=", "<=", ">="} {
				if strings.HasPrefix(s, two) {
					n = 2
				}
			}
			if !strings.Contains("==!=<=>=()[],&|~-.", s[:n]) {
				return nil, fmt.Errorf("%q was not expected", s[:n])
			}
			out = append(out, token{signToken, s[:n]})
		}
		s = s[n:]
	}
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// conditionNumber turns a number of Python's into one of JSON's.
func conditionNumber(s string) (string, error) {
	plain := strings.ReplaceAll(s, "_", "")
	if len(plain) > maxDigits {
		return "", fmt.Errorf("a number of %d digits is too long", len(plain))
	}
	if strings.Trim(plain, "0123456789") == "" {
		if plain = strings.TrimLeft(plain, "0"); plain == "" {
			plain = "0"
		}
		return plain, nil
	}
	if strings.ContainsAny(plain, "xXpPnN") {
		return "", fmt.Errorf("%q is not a number", s)
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil && f == 0 || f != f {
		return "", fmt.Errorf("%q is not a number", s)
	}
	if f > maxFloat {
		return "1e999", nil
	}
	out := strconv.FormatFloat(f, 'e', -1, 64) // never read as an integer again
	return out, nil
}

// conditionString reads a quoted text with Python's usual escapes.
func conditionString(s string) (text, rest string, err error) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case '\\', '\'', '"':
				b.WriteByte(s[i])
			default:
				return "", "", fmt.Errorf("the escape \\%c is not known", s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a text is not closed")
}
