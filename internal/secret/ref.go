package secret

import (
	"fmt"
	"os"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Ref says where a secret is, so that settings can name it without holding it:
// "env:NAME" is an environment variable, "file:PATH" a file. Empty is no secret.
type Ref string

// Check reports a reference that cannot be one. It never shows it: somebody may have written the secret itself.
func (r Ref) Check() error {
	if r == "" {
		return nil
	}
	kind, at, ok := strings.Cut(string(r), ":")
	if !ok || at == "" || kind != "env" && kind != "file" {
		return fmt.Errorf("must say where the secret is, not what: env:NAME or file:PATH")
	}
	return nil
}

// Read gets the secret, without white space around it. It is read anew each time, so a file
// that was replaced holds from then on. An unset variable, a missing or an empty file is feature.Unavailable:
// it can be put there.
func (r Ref) Read() (Text, error) {
	if r == "" {
		return "", nil
	}
	if err := r.Check(); err != nil {
		return "", feature.Errorf(feature.Invalid, "secret.read", "secret", "%w", err)
	}
	kind, at, _ := strings.Cut(string(r), ":")
	var text string
	if kind == "env" {
		text = os.Getenv(at)
	} else {
		b, err := os.ReadFile(at)
		if err != nil {
			return "", feature.Errorf(feature.Unavailable, "secret.read", string(r), "%w", err)
		}
		text = string(b)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", feature.Errorf(feature.Unavailable, "secret.read", string(r), "there is nothing in it")
	}
	return Text(text), nil
}
