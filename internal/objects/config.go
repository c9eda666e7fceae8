package objects

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/weir-ml/weir/internal/secret"
)

// Config says how S3 is reached, for the whole program. Without any setting it is Amazon's, with the
// credentials and the region of the usual chain: AWS_* in the environment, profiles, web identity, the machine's role.
type Config struct {
	// Endpoint is the URL of another server than Amazon's: http://127.0.0.1:9000.
	Endpoint string `koanf:"endpoint"`
	// Region is empty for that of the chain; us-east-1 where an endpoint is given and nothing names one.
	Region string `koanf:"region"`
	// AccessKeyID and SecretAccessKey are empty for the usual chain.
	AccessKeyID     string      `koanf:"access_key_id"`
	SecretAccessKey secret.Text `koanf:"secret_access_key"`
	SessionToken    secret.Text `koanf:"session_token"` // of temporary keys
	// PathStyle puts the bucket into the path and not into the host's name: true, false, or auto: where an endpoint is given.
	PathStyle string `koanf:"path_style"`
	// Timeout is how long a connection may stand still before the request is made again.
	Timeout time.Duration `koanf:"timeout"`
	// CacheBytes bounds what is kept in memory of objects that are open for reads at random.
	CacheBytes int64 `koanf:"cache_bytes"`
}

// DefaultConfig is what works without any setting.
func DefaultConfig() Config {
	return Config{PathStyle: "auto", Timeout: 30 * time.Second, CacheBytes: 128 << 20}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, errors.New("s3.endpoint: must be http://host:port or https://host:port"))
		case u.User != nil:
			errs = append(errs, errors.New("s3.endpoint: must not hold keys; use s3.access_key_id and s3.secret_access_key"))
		}
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		errs = append(errs, errors.New("s3.access_key_id and s3.secret_access_key: set both, or none of them for the usual chain"))
	}
	if c.SessionToken != "" && c.AccessKeyID == "" {
		errs = append(errs, errors.New("s3.session_token: belongs to s3.access_key_id, which is not set"))
	}
	if _, err := c.pathStyle(); err != nil {
		errs = append(errs, err)
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Hour {
		errs = append(errs, fmt.Errorf("s3.timeout: must be from 100ms to 1h (got %s)", c.Timeout))
	}
	if c.CacheBytes < 8<<20 {
		errs = append(errs, fmt.Errorf("s3.cache_bytes: must be at least %d (got %d)", 8<<20, c.CacheBytes))
	}
	return errors.Join(errs...)
}

func (c Config) pathStyle() (bool, error) {
	switch c.PathStyle {
	case "", "auto":
		return c.Endpoint != "", nil
	case "true", "1": // YAML's own true comes here as 1
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("s3.path_style: must be auto, true or false (got %q)", c.PathStyle)
}
