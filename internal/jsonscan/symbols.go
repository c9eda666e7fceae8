package jsonscan

import (
	"maps"
	"slices"
)

// Symbols gives the keys of interest small numbers, so that a key is compared
// once, during the scan, and looked up in plain tables after that. Number 0
// stands for every key without one.
type Symbols struct {
	ids   map[string]int32
	names []string // by number; names[0] is unused
}

// NewSymbols returns an empty table.
func NewSymbols() *Symbols {
	return &Symbols{ids: map[string]int32{}, names: []string{""}}
}

// Intern returns the number of a key, giving it the next one if it has none.
func (s *Symbols) Intern(key string) int32 {
	if id, ok := s.ids[key]; ok {
		return id
	}
	id := int32(len(s.names))
	s.ids[key] = id
	s.names = append(s.names, key)
	return id
}

// Lookup returns the number of a key, 0 when it has none.
func (s *Symbols) Lookup(key []byte) int32 { return s.ids[string(key)] }

// Name is the key with this number.
func (s *Symbols) Name(id int32) string { return s.names[id] }

// Len is one more than the highest number.
func (s *Symbols) Len() int { return len(s.names) }

// Clone returns a copy that can grow; the numbers given so far stay valid in both.
func (s *Symbols) Clone() *Symbols {
	return &Symbols{ids: maps.Clone(s.ids), names: slices.Clone(s.names)}
}
