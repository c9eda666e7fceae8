package app

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/cloudevent"
)

// kept keeps what it is given.
type kept struct{ last outbox.Entry }

func (k *kept) Deliver(_ context.Context, e *outbox.Entry) error {
	k.last = *e
	return nil
}

// TestEncode: what a webhook gets, by mode and format. In the format of Seldon's detectors the headers are those by which
// their receivers know an event: ce-type, ce-id or ce-requestid, ce-source, ce-namespace and ce-inferenceservicename.
func TestEncode(t *testing.T) {
	const drift = `{"specversion": "1.0", "id": "e1", "source": "/projects/p/monitors/prices", "subject": "prices", "type": "io.weir.drift.detected.v1", "time": "2026-11-20T09:00:01Z",
		"datacontenttype": "application/json", "dataschema": "urn:io.weir:schema:drift:v1", "data": {"project": "p", "monitor": "prices", "view": "orders", "monitor_version": 3, "alpha": 0.005}}`
	const paused = `{"specversion": "1.0", "id": "e2", "source": "/projects/p/views/orders", "type": "io.weir.view.paused.v1", "datacontenttype": "application/json", "data": {"view": "orders"}}`
	seldon := map[string]string{"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "e1", "ce-type": "io.seldon.serving.inference.drift", "ce-source": "/projects/p/monitors/prices",
		"ce-subject": "prices", "ce-time": "2026-11-20T09:00:01Z", "ce-namespace": "p", "ce-inferenceservicename": "prices"}
	weir := map[string]string{"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "e1", "ce-type": "io.weir.drift.detected.v1", "ce-source": "/projects/p/monitors/prices",
		"ce-subject": "prices", "ce-time": "2026-11-20T09:00:01Z", "ce-dataschema": "urn:io.weir:schema:drift:v1"}
	for _, c := range []struct {
		mode, format, event string
		headers             map[string]string // nil: as it is stored
		keys                []string          // of the body
	}{
		{"", "", drift, nil, []string{"specversion", "data"}},
		{cloudevent.Structured, weirFormat, drift, nil, []string{"specversion", "data"}},
		{cloudevent.Binary, "", drift, weir, []string{"monitor", "view"}},
		{"", seldonFormat, drift, seldon, []string{"data", "meta"}},
		{cloudevent.Binary, seldonFormat, drift, seldon, []string{"data", "meta"}},
		{cloudevent.Structured, seldonFormat, drift, nil, []string{"specversion", "data", "namespace"}},
		{"", seldonFormat, paused, map[string]string{"content-type": "application/json", "ce-specversion": "1.0", "ce-id": "e2", "ce-type": "io.weir.view.paused.v1", "ce-source": "/projects/p/views/orders"}, []string{"view"}},
	} {
		k := &kept{}
		stored := map[string]string{"content-type": "application/cloudevents+json"}
		e := &outbox.Entry{ID: "e1/hook", Payload: []byte(c.event), Headers: stored}
		require.NoError(t, encode(k, c.mode, c.format, (*cloudevent.Event).HTTP).Deliver(t.Context(), e))
		if c.headers == nil {
			c.headers = stored
		}
		require.Equal(t, c.headers, k.last.Headers, "%s %s", c.mode, c.format)
		var body map[string]any
		require.NoError(t, json.Unmarshal(k.last.Payload, &body))
		for _, key := range c.keys {
			require.Contains(t, body, key, "%s %s", c.mode, c.format)
		}
		require.Equal(t, c.event, string(e.Payload), "what is stored stays as it is")
	}
}
