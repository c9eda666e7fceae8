package pipeline

import (
	"bytes"
	"encoding/json"

	"github.com/weir-ml/weir/registry/feature"
)

// Event is what templates see of a retraining event. A text is empty where the event
// does not say it; what Event and With do not have is an error.
type Event struct {
	ID, Type, Source, Subject, Time string
	Project, View, Monitor          string
	Severity, Since                 string
	Snapshot                        string // of the reference, where it is one
	Model, Service, Pipeline        string // what is to be trained again
	// Event is the whole of it, as it is delivered elsewhere.
	Event map[string]any
	// With has the destination's own settings.
	With map[string]string
}

// ReadEvent reads an event in structured JSON.
func ReadEvent(payload []byte) (*Event, error) {
	var in struct {
		ID, Type, Source, Subject, Time string
		Data                            struct {
			Project, View, Monitor, Severity, Since string
			Reference                               struct{ Snapshot string }
			Retrain                                 *feature.Retrain
		}
	}
	e := new(Event)
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber() // as they were
	if err := dec.Decode(&e.Event); err != nil {
		return nil, feature.Errorf(feature.Invalid, op, "event", "%w", err)
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, feature.Errorf(feature.Invalid, op, "event", "%w", err)
	}
	if in.Data.Retrain == nil {
		return nil, feature.Errorf(feature.Invalid, op, "event "+in.ID, "it asks for no retraining")
	}
	e.ID, e.Type, e.Source, e.Subject, e.Time = in.ID, in.Type, in.Source, in.Subject, in.Time
	d := &in.Data
	e.Project, e.View, e.Monitor, e.Severity, e.Since, e.Snapshot = d.Project, d.View, d.Monitor, d.Severity, d.Since, d.Reference.Snapshot
	e.Model, e.Service, e.Pipeline = d.Retrain.Model, d.Retrain.Service, d.Retrain.Pipeline
	return e, nil
}

// Sample is an event as templates are tried with before there is one.
func Sample() []byte {
	return []byte(`{"specversion":"1.0","id":"5d4b3e0f-5b0f-5e6d-9d0a-7a5f8f0e6a11","source":"/projects/default/monitors/customer_prices","subject":"customer_prices",` +
		`"type":"io.weir.drift.detected.v1","time":"2026-11-20T09:00:01.25Z","datacontenttype":"application/json","dataschema":"urn:io.weir:schema:drift:v1",` +
		`"data":{"project":"default","monitor":"customer_prices","monitor_version":2,"severity":"warning","view":"customer_profile",` +
		`"window":{"start":"2026-11-20T08:00:00Z","end":"2026-11-20T09:00:00Z","rows":5120},"since":"2026-11-20T08:00:00Z","reference":{"snapshot":"snap_01"},"alpha":0.005,` +
		`"features":[{"name":"monthly_charges","outcome":"drifted","drifted":true,"test":"ks","statistic":0.41,"p_value":1e-30,"reasons":["distribution"],` +
		`"count":5100,"nulls":20,"reference_count":70000,"reference_nulls":0}],` +
		`"retrain":{"model":"churn","service":"churn_v1","pipeline":"retrain_churn"}}}`)
}
