package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/internal/testserver"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// seenManifest makes a view of what was logged.
const seenManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: inference, project: PROJECT}
spec: {join_keys: [{name: request_id, type: string}, {name: row, type: int64}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: seen, project: PROJECT}
spec: {topic: TOPIC, event_time: {field: event_time}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: seen, project: PROJECT}
spec:
  source: seen
  entities: [inference]
  features:
    - {name: person, type: string, path: entities.id}
    - {name: age, type: int64, path: views.people.features.age}
    - {name: status, type: string, path: views.people.status}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: seen, project: PROJECT}
spec: {features: ["seen:*"]}
`

// TestLoggedAnswersBecomeATrainingSet is the whole loop: lookups with a request id, a
// sample of them in a topic, read there and joined with what came of them, and
// the topic as a source of Weir's own, whose training set has what the model saw.
func TestLoggedAnswersBecomeATrainingSet(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { loggedLoop(t, testConfig(t), "default", "people", "weir.seen") })
	t.Run("kafka", func(t *testing.T) {
		kafka := testserver.Kafka(t)
		project := testserver.Name(t)
		c := testConfig(t)
		c.Kafka.Brokers, c.Kafka.Replicas = []string{kafka.Addr}, 1
		topic := project + ".people"
		_, err := kadm.NewClient(kafkaClient(t, kafka.Addr)).CreateTopic(t.Context(), 1, 1, nil, topic)
		require.NoError(t, err)
		loggedLoop(t, c, project, topic, project+".seen") // that one is made by the server
	})
}

func loggedLoop(t *testing.T, c app.Config, project, topic, seenTopic string) {
	c.Serving.Log.Topic, c.Serving.Log.Sample, c.Serving.Log.Services = seenTopic, 0.5, []string{project + "/people"}
	w := start(t, c)
	w.apply(strings.ReplaceAll(strings.ReplaceAll(peopleManifest, "%[1]s", project), "%[2]s", topic))
	cl := kafkaClient(t, w.app.KafkaAddr())
	const people, requests = 5, 40
	for i := range people {
		send(t, cl, person(topic, fmt.Sprint("p", i), time.Now(), 30+i))
	}
	w.arrived(project, "people", people)

	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	features := weirv1.NewFeatureServiceClient(conn)
	type seen struct {
		person string
		age    any // nil where there is none
		status string
	}
	want := map[string]seen{} // by request id/row
	for i := range requests {
		id := fmt.Sprintf("inference-%d", i)
		ids := []string{fmt.Sprint("p", i%people), "nobody"}
		_, err := features.Lookup(t.Context(), &weirv1.LookupRequest{Project: project, What: &weirv1.LookupRequest_Service{Service: "people"}, RequestId: id,
			Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: ids}}}}}})
		require.NoError(t, err)
		if float64(xxhash.Sum64String(id)) < 0.5*math.Exp2(64) {
			want[id+"/0"] = seen{ids[0], float64(30 + i%people), "PRESENT"}
			want[id+"/1"] = seen{ids[1], nil, "NOT_FOUND"}
		}
	}
	require.NotEmpty(t, want)
	require.Less(t, len(want), 2*requests)
	w.run("lookup", "--project", project, "--features", "people:age", "--entity", "id=p0", "--request-id", "inference-0") // no service that is logged

	// Anybody can read them and join them.
	in, err := kgo.NewClient(kgo.SeedBrokers(w.app.KafkaAddr()), kgo.ConsumeTopics(seenTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer in.Close()
	got := map[string]seen{}
	for len(got) < len(want) {
		f := in.PollFetches(t.Context())
		require.NoError(t, f.Err())
		f.EachRecord(func(r *kgo.Record) {
			var row struct {
				RequestID string `json:"request_id"`
				Row       int
				Entities  struct{ ID string }
				Views     struct {
					People struct {
						Status   string
						Features struct{ Age any }
					}
				}
			}
			require.NoError(t, json.Unmarshal(r.Value, &row))
			require.Equal(t, row.RequestID, string(r.Key))
			got[fmt.Sprintf("%s/%d", row.RequestID, row.Row)] = seen{row.Entities.ID, row.Views.People.Features.Age, row.Views.People.Status}
		})
	}
	require.Equal(t, want, got)

	// So can Weir: outcomes are the spine.
	w.apply(strings.NewReplacer("PROJECT", project, "TOPIC", seenTopic).Replace(seenManifest))
	w.arrived(project, "seen", int64(len(want)))
	require.Zero(t, w.held(project, "seen").Total)
	spine := "request_id,row,event_timestamp,label\n"
	i := 0
	labels := map[string]string{}
	for k := range want {
		id, row, _ := strings.Cut(k, "/")
		labels[k] = fmt.Sprint(i % 2)
		spine += fmt.Sprintf("%s,%s,%s,%s\n", id, row, time.Now().Add(time.Minute).Format(time.RFC3339), labels[k])
		i++
	}
	out := filepath.Join(t.TempDir(), "set.csv")
	w.run("snapshot", "create", "--project", project, "--service", "seen", "--spine", fileOf(t, "outcomes.csv", spine), "--out", out)
	lines := readAll(t, out)
	require.Len(t, lines, len(want)+1)
	at := map[string]int{}
	for i, name := range strings.Split(lines[0], ",") {
		at[name] = i
	}
	for _, line := range lines[1:] {
		cell := strings.Split(line, ",")
		k := cell[at["request_id"]] + "/" + cell[at["row"]]
		age := ""
		if want[k].age != nil {
			age = fmt.Sprint(want[k].age)
		}
		require.Equal(t, []string{want[k].person, age, want[k].status, labels[k]}, []string{cell[at["person"]], cell[at["age"]], cell[at["status"]], cell[at["label"]]}, line)
	}
	require.True(t, w.seen(t, fmt.Sprintf(`weir_lookup_log_rows_total{result="written"} %d`, len(want))))
}
