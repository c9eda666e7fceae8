package demo

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

const payload = `{"specversion": "1.0", "id": "e1", "source": "/projects/default/monitors/churn_inputs", "subject": "churn_inputs", "type": "io.weir.drift.detected.v1",
 "time": "2026-11-20T09:00:01Z", "datacontenttype": "application/json",
 "data": {"project": "default", "monitor": "churn_inputs", "retrain": {"model": "churn", "service": "churn", "pipeline": "retrain_churn"}}}`

type oneEvent struct{ weirv1.EventServiceClient }

func (oneEvent) Get(context.Context, *weirv1.GetEventRequest, ...grpc.CallOption) (*weirv1.GetEventResponse, error) {
	return &weirv1.GetEventResponse{Payload: []byte(payload)}, nil
}

// TestSends: what is not there is named all the same, with what it would get; what failed says why.
func TestSends(t *testing.T) {
	e := &weirv1.Event{Id: "e1", Deliveries: []*weirv1.Delivery{{Destination: ToKafka, State: "delivered"}}}
	r := &Report{}
	require.NoError(t, r.sends(t.Context(), Clients{Events: oneEvent{}}, Options{}, e))
	require.Len(t, r.Sends, 3)
	require.Equal(t, Sent{To: ToKafka, What: "topic weir.default.events, key churn_inputs", State: "delivered"}, r.Sends[0])
	require.Equal(t, "not configured", r.Sends[1].State)
	require.Contains(t, r.Sends[1].What, "/api/v2/dags/retrain_churn/dagRuns, run weir__e1")
	require.Equal(t, "not configured", r.Sends[2].State)
	require.Contains(t, r.Sends[2].What, "retraining.requested=e1, retraining.monitor, retraining.at of the champion of model churn")
	require.Contains(t, shown(r), "not configured: weir demo --with-airflow URL")

	e.Deliveries = append(e.Deliveries, &weirv1.Delivery{Destination: ToAirflow, State: "pending", LastError: "nobody is there"}, &weirv1.Delivery{Destination: ToMLflow, State: "delivered", LastError: "of before"})
	r.version = "7"
	require.NoError(t, r.sends(t.Context(), Clients{Events: oneEvent{}}, Options{Airflow: "http://air:1"}, e))
	require.Contains(t, r.Sends[1].What, "POST http://air:1/api/v2/")
	require.Contains(t, r.Sends[2].What, "of version 7 of model churn")
	require.Contains(t, shown(r), "pending: nobody is there")
	require.NotContains(t, shown(r), "not configured")
	require.NotContains(t, shown(r), "of before")
}

func TestTried(t *testing.T) {
	event := func(state, failed string) *weirv1.Event {
		return &weirv1.Event{Deliveries: []*weirv1.Delivery{{State: "delivered"}, {State: state, LastError: failed}}}
	}
	require.True(t, tried([]*weirv1.Event{event("delivered", ""), event("dead", "x"), event("pending", "x")}))
	require.False(t, tried([]*weirv1.Event{event("delivered", ""), event("pending", "")}))
}

func shown(r *Report) string {
	var b bytes.Buffer
	r.tellSends(&b)
	return b.String()
}
