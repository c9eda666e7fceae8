package jsontext

import "strconv"

// Fault says why a payload cannot be read, and where.
type Fault struct {
	Path string // of fields; "" for the event as a whole
	Msg  string
}

func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Msg
	}
	return f.Path + ": " + f.Msg
}

// In puts a fault into a field.
func (f *Fault) In(name string) *Fault {
	switch {
	case f.Path == "":
		f.Path = name
	case f.Path[0] == '[':
		f.Path = name + f.Path
	default:
		f.Path = name + "." + f.Path
	}
	return f
}

// At puts a fault into an element of a list.
func (f *Fault) At(i int) *Fault { return f.In("[" + strconv.Itoa(i) + "]") }
