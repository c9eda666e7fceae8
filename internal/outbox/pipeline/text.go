package pipeline

// Text is one text of the settings that may be a template of an Event.
type Text struct{ part }

// ParseText prepares one; name is its setting. It is tried with an event.
func ParseText(name, text string) (*Text, error) {
	p, err := parsed(name, text, "")
	if err != nil {
		return nil, err
	}
	t := &Text{part{name, "text", p}}
	e, err := ReadEvent(Sample())
	if err != nil {
		return nil, err
	}
	_, err = t.Fill(e)
	return t, err
}

// Fill is the text for an event.
func (t *Text) Fill(e *Event) (string, error) { return t.fill(e) }
