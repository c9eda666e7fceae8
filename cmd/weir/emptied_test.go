package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver"
)

// TestBeginsBesideEmptiedRedis: a process that begins beside a Redis which has lost everything remembers nothing of what was there, and has its tables to
// tell. Until the rows are back it is not ready, and says STORE_ERROR and never NOT_FOUND; then all is as it was.
func TestBeginsBesideEmptiedRedis(t *testing.T) {
	server := testserver.OwnRedis(t)
	c := testConfig(t)
	c.Redis.Addrs = []string{server.Addr}
	ready := func(w *weir) bool {
		r, err := http.Get("http://" + w.app.HTTPAddr() + "/readyz")
		require.NoError(t, err)
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	}
	// status is what a lookup says of a person, imported, streamed or never seen.
	status := func(w *weir, id string) string {
		var got struct {
			Rows []struct{ Statuses map[string]string }
		}
		w.json(&got, "lookup", "--service", "people", "--entity", "id="+id)
		return got.Rows[0].Statuses["people"]
	}
	right := map[string]string{"imported": "PRESENT", "streamed": "PRESENT", "nobody": "NOT_FOUND"}

	w := start(t, c)
	// A view that never had a row keeps nobody from being ready.
	w.apply(fmt.Sprintf(peopleManifest, "default", "people") + "---" + fmt.Sprintf(peopleManifest, "quiet", "quiet"))
	now := time.Now().UTC().Format(time.RFC3339)
	w.importFile(fileOf(t, "people.csv", "id,at,age,score\nimported,"+now+",7,0.5\n"))
	send(t, kafkaClient(t, w.app.KafkaAddr()), &kgo.Record{Topic: "people", Value: fmt.Appendf(nil, `{"id":"streamed","at":%q,"age":8,"score":1.5}`, now)})
	w.arrived("default", "people", 1)
	for id, want := range right {
		w.eventually(func() bool { return status(w, id) == want }, "%s to be %s", id, want)
	}
	w.eventually(func() bool { return ready(w) }, "to be ready")
	w.stop()

	rdb := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer rdb.Close()
	require.NoError(t, rdb.FlushAll(t.Context()).Err())

	// Nobody fills it.
	w = start(t, c, "serving")
	for range 3 {
		require.False(t, ready(w))
		for id := range right {
			require.Equal(t, "STORE_ERROR", status(w, id), id)
		}
	}
	w.stop()

	// The workers do.
	w = start(t, c)
	w.eventually(func() bool {
		for id, want := range right {
			if st := status(w, id); st != want {
				require.Equal(t, "STORE_ERROR", st, id)
			}
		}
		return ready(w)
	}, "the rows to be back")
	for id, want := range right {
		require.Equal(t, want, status(w, id), id)
	}
}
