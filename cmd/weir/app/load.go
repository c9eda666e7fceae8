package app

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// EnvPrefix begins the environment's names: ingest.flush_interval is
// WEIR_INGEST__FLUSH_INTERVAL (two underscores between levels).
const EnvPrefix = "WEIR_"

// Load makes the configuration: defaults, then the YAML file (strict), then
// WEIR_*, then set, which holds the flags that were given ("ingest.flush_interval" -> "1s").
// path "" takes weir.yaml in the working folder where there is one.
func Load(path string, set map[string]string) (Config, error) {
	k := koanf.New(".")
	def := DefaultConfig()
	known, lists, structs := map[string]bool{}, map[string]bool{}, map[string]reflect.Type{}
	var faults []error
	walk(reflect.ValueOf(def), "", func(key string, v reflect.Value) {
		known[key], lists[key] = true, v.Kind() == reflect.Slice
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			structs[key] = v.Type().Elem()
			return // absent where the file does not have it
		}
		if err := k.Set(key, v.Interface()); err != nil {
			faults = append(faults, err)
		}
	})
	named := path != ""
	if !named {
		path = "weir.yaml"
	}
	if _, err := os.Stat(path); err == nil || named {
		f := koanf.New(".")
		if err := f.Load(file.Provider(path), yaml.Parser()); err != nil {
			return def, &feature.Error{Kind: feature.Invalid, Op: "config", What: path, Err: err, Hint: "weir config prints every setting with its value"}
		}
		for _, key := range f.Keys() {
			if !known[key] {
				faults = append(faults, unknown(path, key, known))
			} else if t := structs[key]; t != nil {
				faults = append(faults, unknownIn(path, key, t, f.Get(key))...)
			}
		}
		if err := k.Merge(f); err != nil {
			return def, err
		}
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: EnvPrefix, TransformFunc: func(name, value string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, EnvPrefix)), "__", ".")
		if strings.HasPrefix(key, "test_") || key == "shared" || strings.HasPrefix(key, "shared_") {
			return "", nil // for the project's own tests
		}
		if !known[key] {
			faults = append(faults, unknown("environment", name, known))
			return "", nil
		}
		if structs[key] != nil {
			faults = append(faults, fmt.Errorf("environment: %s: %s is a list of maps: set it in the file", name, key))
			return "", nil
		}
		if lists[key] {
			return key, strings.Split(value, ",")
		}
		return key, value
	}}), nil)
	if err != nil {
		return def, err
	}
	for key, value := range set {
		if !known[key] {
			faults = append(faults, unknown("--set", key, known))
			continue
		}
		if structs[key] != nil {
			faults = append(faults, fmt.Errorf("--set: %s is a list of maps: set it in the file", key))
			continue
		}
		var v any = value
		if lists[key] {
			v = strings.Split(value, ",")
		}
		if err := k.Set(key, v); err != nil {
			return def, err
		}
	}
	var c Config
	if err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{Tag: "koanf"}); err != nil {
		faults = append(faults, err)
	} else {
		faults = append(faults, c.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return def, &feature.Error{Kind: feature.Invalid, Op: "config", What: "settings", Err: fmt.Errorf("\n%w", err), Hint: "weir config prints every setting with its value"}
	}
	return c, nil
}

func unknown(where, key string, known map[string]bool) error {
	base := strings.ToLower(key[strings.LastIndexAny(key, "._")+1:])
	var near []string
	for k := range known {
		if strings.HasSuffix(k, base) {
			near = append(near, k)
		}
	}
	sort.Strings(near)
	if len(near) > 0 {
		return fmt.Errorf("%s: unknown setting %s; did you mean %s?", where, key, strings.Join(near, " or "))
	}
	return fmt.Errorf("%s: unknown setting %s", where, key)
}

// Keys lists every setting, dotted.
func Keys() []string {
	var out []string
	walk(reflect.ValueOf(DefaultConfig()), "", func(key string, _ reflect.Value) { out = append(out, key) })
	return out
}

// walk visits every setting of a configuration in the order of its structs.
func walk(v reflect.Value, at string, f func(key string, v reflect.Value)) {
	t := v.Type()
	for i := range t.NumField() {
		tag, opt, _ := strings.Cut(t.Field(i).Tag.Get("koanf"), ",")
		key := at + tag
		fv := v.Field(i)
		switch {
		case opt == "squash":
			walk(fv, at, f)
		case tag == "" || tag == "-":
		case fv.Kind() == reflect.Struct:
			walk(fv, key+".", f)
		default:
			f(key, fv)
		}
	}
}

// Setting is one line of `weir config`.
type Setting struct {
	Key     string `json:"key"`
	Value   any    `json:"value"`
	Default any    `json:"default"`
	Changed bool   `json:"changed"`
}

// Settings lists every setting with its value, secrets redacted.
func (c Config) Settings() []Setting {
	def := map[string]any{}
	walk(reflect.ValueOf(DefaultConfig()), "", func(key string, v reflect.Value) { def[key] = show(key, v) })
	var out []Setting
	walk(reflect.ValueOf(c), "", func(key string, v reflect.Value) {
		s := Setting{Key: key, Value: show(key, v), Default: def[key]}
		s.Changed = fmt.Sprint(s.Value) != fmt.Sprint(s.Default)
		out = append(out, s)
	})
	return out
}

func show(key string, v reflect.Value) any {
	if strings.Contains(key, "password") || strings.Contains(key, "secret") || strings.Contains(key, "token") {
		if v.IsZero() {
			return ""
		}
		return "(redacted)"
	}
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	if v.Kind() == reflect.String {
		return redactURL(v.String())
	}
	return v.Interface()
}

// redactURL hides the password of a URL.
func redactURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "(redacted)"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "redacted")
	}
	return u.String()
}
