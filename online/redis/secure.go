package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// secure makes the TLS settings of connections. Certificates are renewed while the process lives, and so are the authorities that sign them: files
// that have changed are read for the next connection. What cannot be read then leaves what was.
type secure struct {
	TLS
	log *slog.Logger

	mu    sync.Mutex
	roots *x509.CertPool // guarded by mu; nil: the system's
	size  int64          // of ca_file when it was read; guarded by mu
	mod   time.Time      // guarded by mu
}

// load checks the settings; nil when TLS is off.
func (t TLS) load(log *slog.Logger) (*secure, error) {
	if !t.Enabled {
		return nil, nil
	}
	s := &secure{TLS: t, log: log}
	if err := s.read(); err != nil {
		return nil, err
	}
	if t.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read reads the authorities, if their file has changed.
func (s *secure) read() error {
	if s.CAFile == "" {
		return nil
	}
	is, err := os.Stat(s.CAFile)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roots != nil && is.Size() == s.size && is.ModTime().Equal(s.mod) {
		return nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", s.CAFile)
	}
	s.roots, s.size, s.mod = roots, is.Size(), is.ModTime()
	return nil
}

// config is for a connection to addr.
func (s *secure) config(addr string) *tls.Config {
	if err := s.read(); err != nil {
		s.log.Warn("redis.tls.ca_file cannot be read; what it had before is used", "err", err)
	}
	s.mu.Lock()
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName, RootCAs: s.roots}
	s.mu.Unlock()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(addr)
	}
	if s.CertFile != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
			return &cert, err
		}
	}
	return c
}

// dialer is for the common client, which would keep one setting for good; nil, its own, when TLS is off.
func (s *secure) dialer(patience time.Duration) func(context.Context, string, string) (net.Conn, error) {
	if s == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: 5 * time.Minute}, Config: s.config(addr)}
		return d.DialContext(ctx, network, addr)
	}
}
