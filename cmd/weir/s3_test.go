package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
)

// TestWarehouseOnS3 is `weir up` with its tables in a bucket: events come in, an
// audit finds nothing, and after a restart it goes on, with Redis filled from the bucket.
func TestWarehouseOnS3(t *testing.T) {
	s := testserver.S3(t)
	c := testConfig(t)
	c.Offline.Warehouse = s.URL() + "/weir"
	c.S3.Endpoint, c.S3.AccessKeyID, c.S3.SecretAccessKey = s.Endpoint, s.AccessKey, secret.Text(s.Secret)
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	n := 0
	some := func() {
		cl := kafkaClient(t, w.app.KafkaAddr())
		for range 100 {
			send(t, cl, person("people", fmt.Sprintf("k%d", n%7), time.Now(), n))
			n++
		}
		require.EqualValues(t, n, w.arrived("default", "people", int64(n)).Rows)
		w.run("audit", "--view", "people")
	}
	some()
	w.stop()
	w = start(t, c)
	some()
	w.run("compact", "--view", "people")
	w.run("audit", "--view", "people")
	require.NotEmpty(t, s.Keys(t, "weir/default/people-"))

	shown, err := json.Marshal(c.Settings())
	require.NoError(t, err)
	require.Contains(t, string(shown), "s3.secret_access_key")
	require.NotContains(t, string(shown), s.Secret)
}

// A bucket that is not there, or keys that are wrong, end the start with the way out.
func TestWarehouseOnS3IsWrong(t *testing.T) {
	s := testserver.S3(t)
	for says, change := range map[string]func(*app.Config){
		"make the bucket":      func(c *app.Config) { c.Offline.Warehouse = "s3://no-such-bucket-here/x" },
		"s3.secret_access_key": func(c *app.Config) { c.S3.SecretAccessKey = "hunter2" },
	} {
		c := testConfig(t)
		c.Offline.Warehouse = s.URL()
		c.S3.Endpoint, c.S3.AccessKeyID, c.S3.SecretAccessKey = s.Endpoint, s.AccessKey, secret.Text(s.Secret)
		change(&c)
		var logs bytes.Buffer
		a, err := app.New(c, slog.New(slog.NewTextHandler(&logs, nil)))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = a.Run(ctx)
		cancel()
		require.ErrorContains(t, err, says)
		for _, secret := range []string{s.Secret, "hunter2"} {
			require.False(t, strings.Contains(err.Error()+logs.String(), secret))
		}
	}
}
