package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weir-ml/weir"

// listed is what `go list -json` says about a package of this module.
type listed struct {
	Dir, ImportPath, Name, Doc string
	GoFiles, Imports           []string
}

// rel is the package's path inside the module; the module's root is ".".
func (p *listed) rel() string { return relative(p.ImportPath) }

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=Dir,ImportPath,Name,Doc,GoFiles,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list names only %d packages", len(all))
	}
	return all
}

// room says which room a package belongs to and how high it stands. Within
// floor 1 the vocabulary is lowest and the catalog highest.
func room(rel string) (name string, height int) {
	first, _, _ := strings.Cut(rel, "/")
	switch {
	case rel == "registry/feature":
		return rel, 10
	case rel == "docs": // the schemas of events, to be had from the program
		return rel, 10
	case first == "proto":
		return first, 11
	case first == "internal":
		return first, 12
	case first == "registry":
		return first, 13
	case slices.Contains([]string{"validate", "offline", "online", "serving", "drift"}, first):
		return first, 20
	case first == "ingest":
		return first, 30
	case first == "cmd":
		return first, 40
	case first == "bench" || first == "peers":
		return first, 50
	}
	return "", 0
}

// technologies are the names of packages that talk to something outside this
// process. They are chosen in cmd/weir/app and nowhere else.
var technologies = []string{"redis", "feastredis", "memory", "iceberg", "sqlstore", "kafka", "airflow", "mlflow", "webhook", "alertmanager", "s3", "oidc", "schemaregistry"}

// adapter is the path of the adapter that rel is or lies in, "" where it is in none.
func adapter(rel string) string {
	parts := strings.Split(rel, "/")
	for i := 1; i < len(parts); i++ {
		if parts[0] != "cmd" && parts[0] != "internal" && slices.Contains(technologies, parts[i]) {
			return strings.Join(parts[:i+1], "/")
		}
	}
	return ""
}

// onlyForTests reports whether a package exists to be imported by tests:
// conformance suites and servers.
func onlyForTests(rel string) bool {
	for _, part := range strings.Split(rel, "/") {
		if part == "testserver" || part == "testrun" || part == "testseed" || strings.HasSuffix(part, "test") {
			return true
		}
	}
	return false
}

// TestFloors keeps the house of docs/design.md standing: imports only run down.
func TestFloors(t *testing.T) {
	for _, p := range listPackages(t) {
		from := p.rel()
		fromRoom, fromHeight := room(from)
		if fromRoom == "" {
			t.Errorf("%s stands on no floor: move it into a room, or give it one in room() here and in docs/design.md", from)
			continue
		}
		for _, imported := range p.Imports {
			if why := forbiddenModule(from, imported); why != "" {
				t.Errorf("%s imports %s: %s", from, imported, why)
			}
			if !ours(imported) {
				continue
			}
			if why := forbidden(from, fromRoom, fromHeight, relative(imported)); why != "" {
				t.Errorf("%s imports %s: %s", from, relative(imported), why)
			}
		}
	}
}

// forbidden says why from may not import to (not counting from's tests), and what to do instead.
func forbidden(from, fromRoom string, fromHeight int, to string) string {
	toRoom, toHeight := room(to)
	beside := fromHeight >= 50 // benchmarks look at everything
	switch {
	case from == "registry/feature":
		return "the vocabulary imports nothing of this module; put what needs it where it is used"
	case onlyForTests(to) && !onlyForTests(from) && !beside:
		return "that package is for tests; import it from a _test.go file or from a package whose name ends in test"
	case onlyForTests(from) && fromRoom == toRoom:
		return "" // a conformance suite may look at its own room's adapters
	case adapter(to) != "" && adapter(to) != adapter(from) && fromRoom != "cmd" && !beside:
		return "adapters are chosen in cmd/weir/app; declare an interface where you are, and have it passed in"
	case fromRoom == toRoom:
		return ""
	case toHeight > fromHeight:
		return "imports only run down; declare a small interface where you are, and have cmd/weir/app pass the thing in"
	case toHeight == fromHeight:
		return "rooms on one floor do not know each other; declare a small interface where you are, and have cmd/weir/app pass the thing in"
	}
	return ""
}

// bounds are modules that only some packages may import, so that a technology
// can be replaced in one place.
var bounds = []struct {
	module string
	where  []string // packages, or folders with a / at the end
	why    string
}{
	{"github.com/redis/go-redis/v9", []string{"online/redis/", "online/feastredis/", "cmd/", "bench/"}, "Redis is behind online.Store, and Feast's is read by online/feastredis alone"},
	{"github.com/apache/iceberg-go", []string{"offline/iceberg/", "bench/"}, "Iceberg is behind offline.Table"},
	{"github.com/aws", []string{"internal/objects/", "internal/testserver/", "bench/"}, "S3 is behind objects.Bucket"},
	{"github.com/bufbuild/protocompile", []string{"internal/protoschema/"}, ".proto files are read by internal/protoschema"},
	{"github.com/twmb/franz-go/pkg/sr", []string{"ingest/schemaregistry/"}, "schema registries are behind format.Registry"},
	{"github.com/twmb/franz-go/pkg/kfake", []string{"cmd/weir/embedded/"}, "the embedded broker is started by cmd/weir/embedded"},
	{"github.com/alicebob/miniredis/v2", []string{"cmd/weir/embedded/"}, "the embedded Redis is started by cmd/weir/embedded"},
	{"github.com/testcontainers/testcontainers-go", []string{"internal/testserver/"}, "tests ask internal/testserver for servers"},
	{"github.com/spf13/cobra", []string{"cmd/"}, "only cmd has a command line"},
	{"github.com/knadh/koanf", []string{"cmd/"}, "rooms own a Config struct; only cmd/weir/app loads settings"},
	{"github.com/pressly/goose/v3", []string{"internal/sqldb/"}, "migrations go through sqldb.DB.Migrate"},
	{"github.com/stretchr/testify", nil, "only tests and conformance suites assert"},
}

func forbiddenModule(from, imported string) string {
	for _, b := range bounds {
		if imported != b.module && !strings.HasPrefix(imported, b.module+"/") {
			continue
		}
		if from == "internal/deps" || onlyForTests(from) {
			return ""
		}
		for _, w := range b.where {
			if strings.HasPrefix(from+"/", w) {
				return ""
			}
		}
		return b.why
	}
	return ""
}

// TestFloorRules shows the rules what they must refuse and what they must let pass.
func TestFloorRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		fine     bool
	}{
		{"online", "registry/feature", true},
		{"online", "offline", false},
		{"online", "ingest", false},
		{"ingest", "validate", true},
		{"ingest/decode", "internal/jsonscan", true},
		{"registry", "internal/window", true},
		{"internal/window", "registry", false},
		{"internal/window", "registry/feature", true},
		{"registry/feature", "internal/window", false},
		{"online", "online/redis", false},
		{"online/redis", "online", true},
		{"online/redis/lua", "online/redis", true},
		{"drift/kafka", "drift/sqlstore", false},
		{"cmd/weir/app", "online/redis", true},
		{"cmd/weir/app", "online/onlinetest", false},
		{"online/onlinetest", "online", true},
		{"online", "online/onlinetest", false},
		{"ingest", "internal/testserver", false},
		{"internal/testrun", "internal/testserver/native", true},
		{"bench/lookup", "online/redis", true},
		{"ingest", "cmd/weir/app", false},
	} {
		name, height := room(c.from)
		if why := forbidden(c.from, name, height, c.to); (why == "") != c.fine {
			t.Errorf("%s -> %s: got %q", c.from, c.to, why)
		}
	}
	if adapter("online/redis") == "" || adapter("cmd/weir/redis") != "" || adapter("registry/feature") != "" {
		t.Error("adapter() is wrong")
	}
	for _, c := range []struct {
		from, imported string
		fine           bool
	}{
		{"online/redis", "github.com/redis/go-redis/v9", true},
		{"online", "github.com/redis/go-redis/v9", false},
		{"cmd/weir/command", "github.com/spf13/cobra", true},
		{"ingest", "github.com/stretchr/testify/require", false},
		{"ingest/sinktest", "github.com/stretchr/testify/require", true},
	} {
		if why := forbiddenModule(c.from, c.imported); (why == "") != c.fine {
			t.Errorf("%s -> %s: got %q", c.from, c.imported, why)
		}
	}
}
