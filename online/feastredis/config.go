package feastredis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// Config says where Feast's Redis is.
type Config struct {
	Addrs    []string // host:port of one server, of nodes of a cluster, or of sentinels
	Cluster  bool     // one address is of a cluster; several are anyway
	Master   string   // the name that sentinels know the server by; empty without sentinels
	DB       int
	Username string
	Password secret.Text
	TLS      bool
	CAFile   string // PEM; the system's when empty
}

const opOpen = "feastredis.open"

// Parse reads an address: a URL (redis://user@host:port/db, rediss:// for TLS) or
// Feast's own connection_string (host:port,host:port,db=0,ssl=true,password=...). No
// error repeats what it was given, for there may be a password in it.
func Parse(address string) (c Config, err error) {
	if strings.Contains(address, "://") {
		return parseURL(address)
	}
	for part := range strings.SplitSeq(address, ",") {
		name, value, setting := strings.Cut(part, "=")
		if !setting {
			if c.Addrs = append(c.Addrs, part); !hostPort(part) {
				return c, wrong("give each server as host:port")
			}
			continue
		}
		value = strings.Trim(value, `"`) // Feast reads the values as JSON where they are
		switch name {
		case "db":
			if c.DB, err = strconv.Atoi(value); err != nil || c.DB < 0 {
				return c, wrong("db is a number")
			}
		case "ssl":
			if c.TLS, err = strconv.ParseBool(value); err != nil {
				return c, wrong("ssl is true or false")
			}
		case "username":
			c.Username = value
		case "password":
			c.Password = secret.Text(value)
		case "ssl_ca_certs":
			c.CAFile = value
		case "skip_full_coverage_check", "socket_timeout", "socket_connect_timeout", "decode_responses", "max_connections", "health_check_interval", "retry_on_timeout", "socket_keepalive":
			// of no concern to one who reads all of it once
		default:
			return c, wrong("the setting %q is not known here: leave it out, or give a URL", name)
		}
	}
	if len(c.Addrs) == 0 {
		return c, wrong("no server is named")
	}
	return c, nil
}

func parseURL(address string) (c Config, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return c, wrong("not a URL")
	}
	switch u.Scheme {
	case "redis":
	case "rediss":
		c.TLS = true
	default:
		return c, wrong("the scheme is %q: use redis or rediss", u.Scheme)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "6379")
	}
	if c.Addrs = []string{host}; !hostPort(host) {
		return c, wrong("no server is named")
	}
	c.Username = u.User.Username()
	p, _ := u.User.Password()
	c.Password = secret.Text(p)
	if db := strings.Trim(u.Path, "/"); db != "" {
		if c.DB, err = strconv.Atoi(db); err != nil || c.DB < 0 {
			return c, wrong("the database after the last slash is a number")
		}
	}
	if u.RawQuery != "" {
		return c, wrong("settings after a question mark are not known here")
	}
	return c, nil
}

func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && port != ""
}

func wrong(format string, args ...any) error {
	return feature.Errorf(feature.Invalid, opOpen, "the address of Feast's Redis", format, args...).
		WithHint("like redis://host:6379/0, rediss://user@host:6379 with TLS, or the connection_string of feature_store.yaml")
}

// tls makes the client's settings; nil without TLS.
func (c *Config) tls() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, feature.Errorf(feature.Invalid, opOpen, c.CAFile, "%w", err)
		}
		if out.RootCAs = x509.NewCertPool(); !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, feature.Errorf(feature.Invalid, opOpen, c.CAFile, "%w", fmt.Errorf("it holds no certificate"))
		}
	}
	return out, nil
}
