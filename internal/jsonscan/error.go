package jsonscan

import "fmt"

// Error says why a text was refused.
type Error struct {
	Offset int    // byte position in the text
	Msg    string // what is wrong, for people: "invalid UTF-8 in a string"
}

func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Msg, e.Offset) }

func fault(at int, format string, args ...any) *Error {
	return &Error{Offset: at, Msg: fmt.Sprintf(format, args...)}
}
