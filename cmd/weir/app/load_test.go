package app

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(f, []byte(text), 0o600))
	return f
}

// TestLoadOrder: defaults, then the file, then the environment, then flags.
func TestLoadOrder(t *testing.T) {
	f := write(t, "ingest: {flush_interval: 3s, batch_rows: 100}\nkafka: {brokers: [a:1, b:2]}\nredis: {password: hunter2}\nlog: {level: warn}\n")
	t.Setenv("WEIR_INGEST__BATCH_ROWS", "200")
	t.Setenv("WEIR_REDIS__ADDRS", "c:3,d:4")
	c, err := Load(f, map[string]string{"log.level": "debug"})
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, c.Ingest.FlushInterval)
	require.Equal(t, 200, c.Ingest.BatchRows)
	require.Equal(t, []string{"a:1", "b:2"}, c.Kafka.Brokers)
	require.Equal(t, []string{"c:3", "d:4"}, c.Redis.Addrs)
	require.Equal(t, "debug", c.Log.Level)
	require.EqualValues(t, "hunter2", string(c.Redis.Password))
	require.False(t, c.EmbeddedKafka())
	require.Equal(t, DefaultConfig().Offline, c.Offline, "what nobody sets keeps its default")
	for _, s := range c.Settings() {
		require.NotContains(t, fmt.Sprint(s.Value), "hunter2", s.Key)
	}
}

// TestListsAreListsEverywhere: a setting that is a list in the file is one in the environment and in flags.
func TestListsAreListsEverywhere(t *testing.T) {
	lists := 0
	walk(reflect.ValueOf(DefaultConfig()), "", func(key string, v reflect.Value) {
		if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.String {
			return
		}
		lists++
		t.Run(key, func(t *testing.T) {
			of := func(c Config, err error) (got any) {
				require.NoError(t, err)
				walk(reflect.ValueOf(c), "", func(k string, v reflect.Value) {
					if k == key {
						got = v.Interface()
					}
				})
				return got
			}
			file := write(t, "# nothing\n")
			want := []string{"/a:1", "/b:2"}
			switch key { // those that say what they take
			case "schema_registry.urls":
				want = []string{"http://a:1", "https://b:2"}
			case "http.hosts":
				want = []string{"a", "b"}
			}
			require.Equal(t, want, of(Load(file, map[string]string{key: strings.Join(want, ",")})))
			t.Setenv(EnvPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "__")), strings.Join(want, ","))
			require.Equal(t, want, of(Load(file, nil)))
		})
	})
	require.GreaterOrEqual(t, lists, 4)
}

// TestLoadFaults: everything wrong is said at once, with the setting's name.
func TestLoadFaults(t *testing.T) {
	f := write(t, "ingest: {flush_intervall: 3s, batch_rows: -1}\nlog: {level: loud}\nnonsense: 1\n")
	t.Setenv("WEIR_INGEST__NOTHING", "1")
	_, err := Load(f, map[string]string{"redis.pool": "3"})
	require.Error(t, err)
	for _, want := range []string{"ingest.flush_intervall", "ingest.batch_rows", "log.level", "nonsense", "WEIR_INGEST__NOTHING", "redis.pool"} {
		require.ErrorContains(t, err, want)
	}
	_, err = Load(filepath.Join(t.TempDir(), "absent.yaml"), nil)
	require.ErrorContains(t, err, "absent.yaml")
}

// TestURLsAreRedacted: a password in a URL never shows.
func TestURLsAreRedacted(t *testing.T) {
	c, err := Load(write(t, "registry: {url: 'postgres://weir:hunter2@db/weir'}\n"), nil)
	require.NoError(t, err)
	for _, s := range c.Settings() {
		require.NotContains(t, fmt.Sprint(s.Value), "hunter2")
	}
	require.Equal(t, "postgres://weir:redacted@db/weir", redactURL("postgres://weir:hunter2@db/weir"))
}
