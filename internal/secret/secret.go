package secret

import "log/slog"

// Text is a text that never shows itself.
type Text string

func (t Text) hidden() string {
	if t == "" {
		return ""
	}
	return "[redacted]"
}

func (t Text) String() string               { return t.hidden() }
func (t Text) GoString() string             { return t.hidden() }
func (t Text) MarshalText() ([]byte, error) { return []byte(t.hidden()), nil }
func (t Text) LogValue() slog.Value         { return slog.StringValue(t.hidden()) }
