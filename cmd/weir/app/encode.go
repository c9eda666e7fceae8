package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/cloudevent"
)

// EventsConfig is how events are written to the projects' topics.
type EventsConfig struct {
	Mode   string `koanf:"mode"`   // of CloudEvents: structured or binary
	Format string `koanf:"format"` // weir, or seldon: drift events with the type and data of Seldon's detectors
}

// What events look like.
const (
	weirFormat   = "weir"
	seldonFormat = "seldon"
)

// Validate reports settings that cannot work.
func (c EventsConfig) Validate() error {
	return errors.Join(checkMode("events.mode", c.Mode), checkFormatOf("events.format", c.Format))
}

func checkMode(at, mode string) error {
	if slices.Contains([]string{"", cloudevent.Structured, cloudevent.Binary}, mode) {
		return nil
	}
	return fmt.Errorf("%s: must be structured or binary (got %q)", at, mode)
}

func checkFormatOf(at, format string) error {
	if slices.Contains([]string{"", weirFormat, seldonFormat}, format) {
		return nil
	}
	return fmt.Errorf("%s: must be weir or seldon (got %q)", at, format)
}

// encoded writes events as a destination wants them: the one place that knows how they are stored and how they are sent.
type encoded struct {
	to     outbox.Deliverer
	format string
	// binary makes headers and body of an event; nil where it is sent as it is stored.
	binary func(*cloudevent.Event) (map[string]string, []byte)
}

// encode gives a deliverer what it is to send; mode may be empty. The settings were checked.
func encode(to outbox.Deliverer, mode, format string, binary func(*cloudevent.Event) (map[string]string, []byte)) outbox.Deliverer {
	if mode == "" && format == seldonFormat {
		mode = cloudevent.Binary // theirs send no other, and their receivers know the type by its header
	}
	if mode != cloudevent.Binary {
		binary = nil
	}
	if format = cmp.Or(format, weirFormat); format == weirFormat && binary == nil {
		return to
	}
	return encoded{to, format, binary}
}

func (d encoded) Deliver(ctx context.Context, e *outbox.Entry) error {
	sent := *e
	if d.format == seldonFormat {
		var err error
		if sent.Payload, _, err = drift.Seldon(e.Payload); err != nil {
			return err
		}
	}
	if d.binary != nil {
		ce, err := cloudevent.Parse(sent.Payload)
		if err != nil {
			return err
		}
		sent.Headers, sent.Payload = d.binary(ce)
	}
	return d.to.Deliver(ctx, &sent)
}
