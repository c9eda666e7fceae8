package feast

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving"
)

// Classes of feast.errors that the SDK makes of an answer.
const (
	errAny       = "FeastError"
	errNotFound  = "FeastObjectNotFoundException"
	errNoView    = "FeatureViewNotFoundException"
	errNoService = "FeatureServiceNotFoundException"
	errNoSource  = "PushSourceNotFoundException"
)

// fault is an error with the class that the SDK is to raise.
type fault struct {
	Module  string `json:"module"`
	Class   string `json:"class"`
	Message string `json:"message"`
	// For those who read it themselves:
	Rows   int    `json:"rows,omitempty"`
	Stored *int   `json:"stored,omitempty"` // of the rows, those that can be read
	Held   []held `json:"held,omitempty"`
}

// held is a row that was held back.
type held struct {
	Row       int              `json:"row"` // from 0
	View      string           `json:"view"`
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Reasons   []feature.Reason `json:"reasons"`
}

// writeFault answers as Feast's feature server does: with a JSON string that holds JSON.
func writeFault(w http.ResponseWriter, status int, f fault) {
	f.Module = "feast.errors"
	inner, err := json.Marshal(f)
	if err != nil {
		inner = []byte(`{"module":"feast.errors","class":"FeastError","message":"an internal fault"}`)
	}
	outer, _ := json.Marshal(string(inner)) // of a string: never fails
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(outer)
}

// fail answers an error that has no class of its own.
func fail(w http.ResponseWriter, status int, f serving.Fault) {
	class := errAny
	if status == http.StatusNotFound {
		class = errNotFound
	}
	msg := f.Message
	if f.Hint != "" {
		msg += " (" + f.Hint + ")"
	}
	writeFault(w, status, fault{Class: class, Message: msg})
}

// missing answers that something does not exist, with the class of what it is. Any
// other error is returned.
func missing(w http.ResponseWriter, status int, class string, err error) error {
	var e *feature.Error
	if !errors.As(err, &e) || e.Kind != feature.NotFound {
		return err
	}
	writeFault(w, status, fault{Class: class, Message: e.Error()})
	return nil
}
