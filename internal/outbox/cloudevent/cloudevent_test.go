package cloudevent_test

import (
	"encoding/json"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox/cloudevent"
	"github.com/weir-ml/weir/registry/feature"
)

// TestBindings: every attribute becomes a header, the data the body, byte for byte.
func TestBindings(t *testing.T) {
	ce := sdk.New()
	ce.SetID("1")
	ce.SetType("io.weir.drift.detected.v1")
	ce.SetSource("/projects/p/monitors/m")
	ce.SetSubject("m")
	ce.SetDataSchema("urn:io.weir:schema:drift:v1")
	ce.SetTime(time.Date(2026, 11, 20, 9, 0, 1, 250e6, time.UTC))
	ce.SetExtension("attempt", 7)
	ce.SetExtension("dry", true)
	require.NoError(t, ce.SetData(sdk.ApplicationJSON, map[string]any{"a": 1e30, "b": []int{1}}))
	payload, err := json.Marshal(ce)
	require.NoError(t, err)

	e, err := cloudevent.Parse(payload)
	require.NoError(t, err)
	h, body := e.HTTP()
	require.Equal(t, map[string]string{"content-type": "application/json", "ce-id": "1", "ce-specversion": "1.0", "ce-type": "io.weir.drift.detected.v1",
		"ce-source": "/projects/p/monitors/m", "ce-subject": "m", "ce-dataschema": "urn:io.weir:schema:drift:v1", "ce-time": "2026-11-20T09:00:01.25Z",
		"ce-attempt": "7", "ce-dry": "true"}, h)
	require.Equal(t, ce.Data(), body)
	k, value := e.Kafka()
	require.Equal(t, ce.Data(), value)
	require.Len(t, k, len(h))
	require.Equal(t, "2026-11-20T09:00:01.25Z", k["ce_time"])
	require.Equal(t, "application/json", k["content-type"])
}

// TestEncoding: the example of the HTTP binding, and what it asks to be encoded and nothing else.
func TestEncoding(t *testing.T) {
	for text, want := range map[string]string{
		"Euro € 😀":             "Euro%20%E2%82%AC%20%F0%9F%98%80",
		`say "100%"`:           "say%20%22100%25%22",
		"a\x7f\n":              "a%7F%0A",
		"!#$&'()*+,-./:;<=>?@": "!#$&'()*+,-./:;<=>?@",
		"[]^_`{|}~\\":          "[]^_`{|}~\\",
	} {
		payload, err := json.Marshal(map[string]string{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": text})
		require.NoError(t, err)
		e, err := cloudevent.Parse(payload)
		require.NoError(t, err)
		h, _ := e.HTTP()
		require.Equal(t, want, h["ce-subject"])
		k, _ := e.Kafka()
		require.Equal(t, text, k["ce_subject"])
	}
}

func TestParse(t *testing.T) {
	e, err := cloudevent.Parse([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","subject":null,"datacontenttype":"text/plain","data_base64":"aGk="}`))
	require.NoError(t, err)
	h, body := e.HTTP()
	require.Equal(t, "hi", string(body))
	require.Equal(t, map[string]string{"content-type": "text/plain", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}, h)
	for _, bad := range []string{``, `[]`, `{"specversion":"1.0","id":"1","source":"s"}`, `{"specversion":"1.0","id":"1","source":"s","type":"t","x":{}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"?"}`} {
		_, err := cloudevent.Parse([]byte(bad))
		require.Equal(t, feature.Invalid, feature.KindOf(err), bad)
	}
}
