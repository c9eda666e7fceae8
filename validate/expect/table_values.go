package expect

import (
	"bytes"
	"cmp"
	"strings"
	"time"
)

// compareValues orders two values of one type, as Result has them; missing ones come first.
func compareValues(a, b any) int {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case bool:
		if b, ok := b.(bool); ok && a != b {
			if a {
				return 1
			}
			return -1
		}
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	case []any:
		b, _ := b.([]any)
		for i := range min(len(a), len(b)) {
			if d := compareValues(a[i], b[i]); d != 0 {
				return d
			}
		}
		return 0
	}
	if b == nil {
		return 1
	}
	return 0
}
