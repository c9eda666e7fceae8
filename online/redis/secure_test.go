package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// rights are what Weir's user needs, as docs/operations.md says.
var rights = []any{"+mget", "+get", "+set", "+setnx", "+mset", "+del", "+hget", "+hset", "+hdel", "+hgetall", "+scan", "+eval", "+evalsha",
	"+ping", "+info", "+client|setname", "+cluster|slots", "+cluster|shards", "+hello", "+role"}

var advance = &online.Advance{View: "p/v", Next: 5}

func withUser(user, pass string) func(*redis.Config) {
	return func(c *redis.Config) { c.Username, c.Password = user, secret.Text(pass) }
}

func spanOf(tr *truth) online.Span {
	return online.Span{Prefix: tr.keys[0][:strings.LastIndex(tr.keys[0], "/")+1], Suffix: "}:v"}
}

// authority signs certificates.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(t testing.TB, name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// issue makes a certificate and its key.
func (a *authority) issue(t testing.TB, name string, names ...string) (cert, key string) {
	a.n++
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1 + a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return a.write(t, name+".pem", "CERTIFICATE", der), a.write(t, name+".key", "PRIVATE KEY", raw)
}

// TestTLS: the authority is checked, the name is, and a server that wants a certificate gets one.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	serverCert, serverKey := a.issue(t, "server", "redis.test")
	clientCert, clientKey := a.issue(t, "client")
	port := clusterPort(t)
	addr := "127.0.0.1:" + port
	// The plain port stays, for it is what tells that the server has started.
	testserver.OwnRedis(t, "--tls-port", port, "--tls-cert-file", serverCert, "--tls-key-file", serverKey, "--tls-ca-cert-file", ca, "--tls-auth-clients", "yes")
	with := func(change func(*redis.TLS)) *redis.Store {
		return impatient(t, nil, func(c *redis.Config) {
			c.TLS = redis.TLS{Enabled: true, CAFile: ca, CertFile: clientCert, KeyFile: clientKey, ServerName: "redis.test"}
			change(&c.TLS)
		}, addr)
	}
	s := with(func(*redis.TLS) {})
	tr := load(t, s, testserver.Name(t), 30)
	require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)

	other := newAuthority(t)
	for name, c := range map[string]struct {
		change func(*redis.TLS)
		kind   feature.ErrorKind
		hint   string
	}{
		"another authority": {func(c *redis.TLS) { c.CAFile = filepath.Join(other.dir, "ca.pem") }, feature.Unauthorized, "redis.tls"},
		"another name":      {func(c *redis.TLS) { c.ServerName = "elsewhere" }, feature.Unauthorized, "server_name"},
		"no certificate":    {func(c *redis.TLS) { c.CertFile, c.KeyFile = "", "" }, feature.Unavailable, ""},
		"no TLS":            {func(c *redis.TLS) { c.Enabled = false }, feature.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := tr.ask(t, with(c.change), 0, 30, time.Minute)
			require.Equal(t, 30, x.failed)
			require.Equal(t, c.kind, feature.KindOf(x.err), "%v", x.err)
			require.ErrorContains(t, x.err, c.hint)
		})
	}
}

// A certificate that is renewed in its place is shown by the next connection.
func TestCertificateIsRenewed(t *testing.T) {
	a := newAuthority(t)
	ca := filepath.Join(a.dir, "ca.pem")
	serverCert, serverKey := a.issue(t, "server", "127.0.0.1")
	cert, key := a.issue(t, "client")
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	shown := make(chan int64, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if x := c.(*tls.Conn); x.Handshake() == nil {
				shown <- x.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
			}
			_ = c.Close()
		}
	}()
	s := impatient(t, nil, func(c *redis.Config) {
		c.TLS = redis.TLS{Enabled: true, CAFile: ca, CertFile: cert, KeyFile: key}
	}, l.Addr().String())
	until(t, func() bool { return s.Ping(context.Background()) != nil && len(shown) > 0 }, "a connection")
	was := <-shown
	a.issue(t, "client")
	until(t, func() bool {
		_ = s.Ping(context.Background())
		select {
		case n := <-shown:
			return n != was
		default:
			return false
		}
	}, "the new certificate")
}

// An authority that is replaced in its file is what new connections check by, of lookups and of writes.
func TestAuthorityIsRenewed(t *testing.T) {
	was, now := newAuthority(t), newAuthority(t)
	ca := filepath.Join(was.dir, "ca.pem")
	cert, key := now.issue(t, "server", "127.0.0.1")
	port := clusterPort(t)
	testserver.OwnRedis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", filepath.Join(now.dir, "ca.pem"), "--tls-auth-clients", "no")
	s := impatient(t, nil, func(c *redis.Config) { c.TLS = redis.TLS{Enabled: true, CAFile: ca} }, "127.0.0.1:"+port)
	row := []online.Row{{Key: "w:{p/e/1}:v", Value: []byte("anything of sixteen bytes and more")}}
	_, err := s.Put(t.Context(), row, nil)
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
	require.Equal(t, feature.Unauthorized, feature.KindOf(s.Ping(t.Context())))
	// Half a file leaves what was; the whole one is used.
	require.NoError(t, os.WriteFile(ca, []byte("-----BEGIN"), 0o600))
	_, err = s.Put(t.Context(), row, nil)
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
	pem, err := os.ReadFile(filepath.Join(now.dir, "ca.pem"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(ca, pem, 0o600))
	_, err = s.Put(t.Context(), row, nil)
	require.NoError(t, err)
	until(t, func() bool { return s.Ping(t.Context()) == nil }, "the server")
}
