package feature

import (
	"errors"
	"fmt"
	"strings"
)

// ErrorKind says what a caller can do about an error. Adapters classify; callers decide.
type ErrorKind uint8

const (
	Internal     ErrorKind = iota // a fault of ours; the text stays in the log
	Invalid                       // the request or a definition is wrong; repeating it is useless
	NotFound                      // a named thing does not exist
	Conflict                      // the state has moved on: reload and decide again
	Unavailable                   // a store or broker cannot be reached; the only kind worth retrying
	Unsupported                   // well-formed, but Weir does not do it
	Exhausted                     // a limit was reached
	Unauthorized                  // the caller may not do this
)

var errorKindNames = [...]string{"internal", "invalid", "not found", "conflict", "unavailable", "unsupported", "exhausted", "unauthorized"}

func (k ErrorKind) String() string {
	if int(k) < len(errorKindNames) {
		return errorKindNames[k]
	}
	return fmt.Sprintf("kind(%d)", k)
}

// Error carries the operation, the object and the way out.
type Error struct {
	Kind ErrorKind
	Op   string // package.operation: "offline.append"
	What string // the object: "view user_stats@3"
	Hint string // what to do: "run: weir audit --view user_stats"
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.What != "" {
		b.WriteString(": ")
		b.WriteString(e.What)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(e.Hint)
		b.WriteString(")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost Error in err's chain, Internal when there is none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Errorf builds an Error whose cause is formatted from format and args (%w keeps the chain).
func Errorf(kind ErrorKind, op, what, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, What: what, Err: fmt.Errorf(format, args...)}
}

// WithHint sets the way out and returns the same error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}
