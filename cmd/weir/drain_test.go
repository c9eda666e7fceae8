package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// TestStopUnderLoad: while a process stops, a lookup over gRPC or HTTP is answered in full or
// is refused so that its client asks elsewhere; nothing that it stands on goes before it.
func TestStopUnderLoad(t *testing.T) {
	c := testConfig(t)
	c.Serving.Log.Topic, c.Serving.Log.Sample = "weir.seen", 1
	w := start(t, c)
	w.apply(strings.ReplaceAll(strings.ReplaceAll(peopleManifest, "%[1]s", "default"), "%[2]s", "people"))
	send(t, kafkaClient(t, w.app.KafkaAddr()), person("people", "a", time.Now(), 33))
	w.arrived("default", "people", 1)
	grpcAddr, httpAddr := w.app.GRPCAddr(), w.app.HTTPAddr()

	var answered [2]atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			conn, err := grpc.NewClient("passthrough:///"+grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			for {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				r, err := weirv1.NewFeatureServiceClient(conn).Lookup(ctx, &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "people"}, IncludeStatuses: true,
					Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{"a"}}}}}}})
				cancel()
				if err != nil {
					if status.Code(err) != codes.Unavailable {
						t.Errorf("over gRPC: %v", err)
					}
					return
				}
				if r.Partial || r.Views[0].Statuses[0] != weirv1.Status_STATUS_PRESENT {
					t.Errorf("over gRPC: %v", r)
					return
				}
				answered[0].Add(1)
			}
		})
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for {
				r, err := client.Post("http://"+httpAddr+"/v1/lookup", "application/json", strings.NewReader(`{"service":"people","entities":{"id":["a"]}}`))
				if err != nil {
					return // its listener is closed last
				}
				var body map[string]any
				err = json.NewDecoder(r.Body).Decode(&body)
				_ = r.Body.Close()
				switch {
				case r.StatusCode == http.StatusServiceUnavailable:
					return
				case r.StatusCode != http.StatusOK || err != nil || body["partial"] == true:
					t.Errorf("over HTTP: %d %v %v", r.StatusCode, body, err)
					return
				}
				answered[1].Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return t.Failed() || answered[0].Load() > 100 && answered[1].Load() > 100 }, time.Minute, time.Millisecond)
	w.stop()
	wg.Wait()
}
