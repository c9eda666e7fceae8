package feast

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// lookupBody is the body of /get-online-features.
type lookupBody struct {
	Service   string   `json:"feature_service"`
	Features  []string `json:"features"`
	Entities  ordered  `json:"entities"`
	FullNames bool     `json:"full_feature_names"`
	Versions  bool     `json:"include_feature_view_version_metadata"`
}

// ordered are the members of an object as they came.
type ordered []column

func (o *ordered) UnmarshalJSON(b []byte) error {
	*o = nil
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if t == nil {
			return nil // null
		}
		return errors.New("an object of columns is wanted")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		*o = append(*o, column{name.(string), raw})
	}
	return nil
}

// read reads a body into v; its fault is the caller's.
func read(op string, body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind) && kind.Field == "":
		return feature.Errorf(feature.Invalid, op, "body", "a %s where an object is wanted", kind.Value)
	case errors.As(err, &kind):
		return feature.Errorf(feature.Invalid, op, "body", "%s must not be a %s", kind.Field, kind.Value)
	case errors.As(err, &syntax) && len(body) > 0:
		return feature.Errorf(feature.Invalid, op, "body", "%w", err).WithHint("NaN and Infinity are no JSON: send null")
	}
	return feature.Errorf(feature.Invalid, op, "body", "%w", err)
}

// fillJSON reads a list of values into a vector of a join key.
func fillJSON(k feature.Field, raw []byte, v *feature.Vector) (int, error) {
	var list []any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&list); err != nil {
		return 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "a list of values is wanted")
	}
	v.Reset(k.Type, len(list))
	for i, x := range list {
		var err error
		switch x := x.(type) {
		case nil:
		case string:
			err = putText(k, v, i, x)
		case bool:
			if k.Type != feature.Bool {
				return 0, notA(k, i, fmt.Sprint(x))
			}
			v.Valid[i], v.Bools[i] = true, x
		case json.Number:
			if n, perr := strconv.ParseInt(string(x), 10, 64); perr == nil {
				err = putWhole(k, v, i, n)
			} else if f, perr := x.Float64(); perr == nil {
				err = putFloat(k, v, i, f)
			} else {
				err = notA(k, i, string(x))
			}
		default:
			err = notA(k, i, "a list or an object")
		}
		if err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
