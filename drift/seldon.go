package drift

import (
	"encoding/json"
	"maps"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// SeldonType is the type of the event that Seldon's detectors send.
const SeldonType = "io.seldon.serving.inference.drift"

// SeldonData is a drift as alibi-detect's univariate detectors tell of one to Seldon Core. Numbers are one for each
// feature; null where the distribution of a feature was not tested. What theirs has, ours has with the same JSON type,
// since receivers (Elasticsearch, for one) keep both in one place.
type SeldonData struct {
	Data struct {
		IsDrift   int        `json:"is_drift"` // 1 or 0
		Distance  []*float64 `json:"distance"` // the test's statistic
		PVal      []*float64 `json:"p_val"`
		Threshold float64    `json:"threshold"` // that a p-value must not exceed
		// Features names what the numbers are of; alibi-detect has them in the order of its input.
		Features []string `json:"features"`
	} `json:"data"`
	Meta struct {
		Name         string       `json:"name"`
		DetectorType string       `json:"detector_type"` // drift, beside outlier and adversarial
		Online       bool         `json:"online"`        // of detectors that judge row by row; windows are batches
		DataType     string       `json:"data_type"`
		Version      string       `json:"version"` // of the monitor; of alibi-detect it is the release
		Project      string       `json:"project"`
		View         string       `json:"view"`
		Window       *EventWindow `json:"window"`
	} `json:"meta"`
}

// Seldon is a drift event as Seldon's detectors would send it: same id, source, subject and
// time, their type and data, and the attributes by which their receivers tell apart whom an event is
// about. Other events stay as they are: ok is false.
func Seldon(payload []byte) (out []byte, ok bool, err error) {
	var all map[string]json.RawMessage
	var head struct {
		Type string    `json:"type"`
		Data EventData `json:"data"`
	}
	fault := func(err error) ([]byte, bool, error) {
		return nil, false, feature.Errorf(feature.Invalid, "drift.seldon", "event", "%w", err)
	}
	if err := json.Unmarshal(payload, &all); err != nil {
		return fault(err)
	}
	var kind string
	if err := json.Unmarshal(all["type"], &kind); err != nil {
		return fault(err)
	}
	if kind != DetectedType && kind != ResolvedType {
		return payload, false, nil
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return fault(err)
	}
	d := &head.Data
	var s SeldonData
	if kind == DetectedType {
		s.Data.IsDrift = 1
	}
	s.Data.Threshold = d.Alpha
	s.Data.Distance, s.Data.PVal, s.Data.Features = []*float64{}, []*float64{}, []string{}
	for i := range d.Features {
		f := &d.Features[i]
		s.Data.Distance, s.Data.PVal, s.Data.Features = append(s.Data.Distance, f.Statistic), append(s.Data.PVal, f.PValue), append(s.Data.Features, f.Name)
	}
	s.Meta.Name, s.Meta.DetectorType, s.Meta.DataType = d.Monitor, "drift", "tabular"
	s.Meta.Version, s.Meta.Project, s.Meta.View, s.Meta.Window = strconv.Itoa(d.Version), d.Project, d.View, &d.Window
	all = maps.Clone(all)
	delete(all, "dataschema") // ours does not describe this
	all["type"] = json.RawMessage(`"` + SeldonType + `"`)
	for name, v := range map[string]any{"data": &s, "namespace": d.Project, "inferenceservicename": d.Monitor} {
		if all[name], err = json.Marshal(v); err != nil {
			return fault(err)
		}
	}
	if out, err = json.Marshal(all); err != nil {
		return fault(err)
	}
	return out, true, nil
}
