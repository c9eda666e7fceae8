package avroschema

// maxPrecision bounds the digits of a decimal: as many as a number of an event may have.
const maxPrecision = 900

// logical gives a schema its logical type. One that is not known, or does not fit
// what it stands on, is ignored, as the specification says.
func logical(s *Schema, m map[string]any) {
	name, _ := m["logicalType"].(string)
	l := Logical(name)
	fits := false
	switch l {
	case Date, TimeMillis:
		fits = s.Kind == Int
	case TimeMicros, TimestampMillis, TimestampMicros, TimestampNanos,
		LocalTimestampMillis, LocalTimestampMicros, LocalTimestampNanos:
		fits = s.Kind == Long
	case UUID:
		fits = s.Kind == String || s.Kind == Fixed && s.Size == 16
	case Duration:
		fits = s.Kind == Fixed && s.Size == 12
	case Decimal:
		precision, ok := whole(m, "precision")
		scale := 0
		if _, given := m["scale"]; given && ok {
			scale, ok = whole(m, "scale")
		}
		most := maxPrecision
		if s.Kind == Fixed {
			most = min(most, digits(s.Size))
		}
		fits = ok && (s.Kind == Bytes || s.Kind == Fixed) && precision >= 1 && precision <= most && scale >= 0 && scale <= precision
		if fits {
			s.Precision, s.Scale = precision, scale
		}
	}
	if fits {
		s.Logical = l
	}
}

// digits is how many decimal digits always fit into n bytes of two's complement.
func digits(n int) int {
	if n <= 0 {
		return 0
	}
	return int(float64(8*n-1) * 0.30102999566398119521)
}
