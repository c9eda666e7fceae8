package mlflow

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// What a call carries, and what is taken of it.
const (
	signatureHeader = "X-MLflow-Signature" // v1,BASE64 of an HMAC-SHA256 over id.timestamp.body
	timestampHeader = "X-MLflow-Timestamp" // seconds since 1970
	deliveryHeader  = "X-MLflow-Delivery-Id"

	mostBody = 1 << 20
	// fresh is how far a call's time may be from ours: repeats of what MLflow could not deliver keep theirs.
	fresh = 5 * time.Minute
	// lookTime bounds the look that follows, within the 30 seconds that MLflow waits.
	lookTime = 20 * time.Second
)

// Hook takes the calls of MLflow's webhooks for aliases (model_version_alias.created and .deleted). Of
// what they say only the names count, and those only with a signature by the secret: see Follower.Look.
type Hook struct {
	Look    func(ctx context.Context, model, alias string) error
	Secret  secret.Ref
	Log     *slog.Logger
	Metrics *Metrics
	Now     func() time.Time
}

// call is what MLflow posts.
type call struct {
	Entity string
	Action string
	Data   struct{ Name, Alias string }
}

// errUnsigned is the answer to whatever is wrong with a signature: which, is nobody's business.
var errUnsigned = errors.New("the call is not signed with mlflow.webhook_secret, or is too old")

func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, err := h.serve(r)
	h.Metrics.hooks.WithLabelValues(strconv.Itoa(status)).Inc()
	if err == nil {
		w.WriteHeader(status)
		return
	}
	h.Log.Warn("a call of an MLflow webhook was not taken", "status", status, "delivery", feature.Shorten([]byte(r.Header.Get(deliveryHeader))), "from", r.RemoteAddr, "error", err)
	text := err.Error()
	if status >= 500 {
		text = "try again"
	}
	http.Error(w, text, status)
}

func (h *Hook) serve(r *http.Request) (int, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, mostBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return http.StatusRequestEntityTooLarge, err
		}
		return http.StatusBadRequest, err
	}
	key, err := h.Secret.Read()
	if err != nil {
		return http.StatusServiceUnavailable, err
	}
	if !signed([]byte(key), r.Header, body, h.Now()) {
		return http.StatusUnauthorized, errUnsigned
	}
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		return http.StatusBadRequest, err
	}
	if c.Entity != "model_version_alias" || c.Data.Name == "" || c.Data.Alias == "" {
		return http.StatusNoContent, nil // of other things it may be told; they are none of ours
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	if err := h.Look(ctx, c.Data.Name, c.Data.Alias); err != nil {
		return http.StatusServiceUnavailable, err // MLflow calls again; and a sync comes
	}
	return http.StatusNoContent, nil
}

// signed reports whether a call is MLflow's and of now. Several signatures may stand in the header, while
// a secret is replaced.
func signed(key []byte, head http.Header, body []byte, now time.Time) bool {
	stamp := head.Get(timestampHeader)
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(key) == 0 {
		return false
	}
	if age := now.Sub(time.Unix(at, 0)); age > fresh || age < -fresh {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(head.Get(deliveryHeader) + "." + stamp + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	for one := range strings.FieldsSeq(head.Get(signatureHeader)) {
		version, text, _ := strings.Cut(one, ",")
		got, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}
