package feastredis

import (
	"encoding/binary"
	"math/bits"
)

// murmur3 is MurmurHash3_x86_32 with seed 0.
func murmur3(s string) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	var h uint32
	b := []byte(s)
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h^mix(binary.LittleEndian.Uint32(b)), 13)*5 + 0xe6546b64
	}
	var tail uint32
	for i := len(b) - 1; i >= 0; i-- {
		tail = tail<<8 | uint32(b[i])
	}
	h ^= mix(tail) // nothing for no bytes
	h ^= uint32(len(s))
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// FeatureField is the hash's field that holds a feature's value.
func FeatureField(view, feature string) string {
	return string(binary.LittleEndian.AppendUint32(nil, murmur3(view+":"+feature)))
}

// TimeField is the field that holds the event time of a view's row.
func TimeField(view string) string { return timePrefix + view }

const timePrefix = "_ts:"
