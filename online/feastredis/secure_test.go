package feastredis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// TestReaderOverTLS: a user with no more rights than the hint names reads everything, over TLS
// with a certificate that is trusted, and only then.
func TestReaderOverTLS(t *testing.T) {
	s := testserver.OwnRedis(t)
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
	defer func() { require.NoError(t, c.Close()) }()
	fill(t, c, 700)
	require.NoError(t, c.Do(t.Context(), "acl", "setuser", "reader", "on", ">hush", "~*", "-@all", "+scan", "+dbsize", "+hgetall").Err())
	addr, ca := secured(t, s.Addr)
	at := Config{Addrs: []string{addr}, Username: "reader", Password: "hush", TLS: true, CAFile: ca}
	scan(t, at, 700)

	at.CAFile = ""
	open, err := Open(at)
	require.NoError(t, err)
	_, err = open.Size(t.Context())
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	require.ErrorContains(t, err, "certificate")
	require.NoError(t, open.Close())

	require.NoError(t, c.Do(t.Context(), "acl", "setuser", "reader", "-hgetall").Err())
	at.CAFile = ca
	open, err = Open(at)
	require.NoError(t, err)
	err = open.Scan(t.Context(), func([]byte) bool { return true }, func([]byte, map[string]string) error { return nil }, func(int) {})
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "HGETALL")
	require.NoError(t, open.Close())

	_, err = Open(Config{Addrs: []string{addr}, TLS: true, CAFile: filepath.Join(t.TempDir(), "none")})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
}

// secured puts TLS in front of a server; ca is the file to trust.
func secured(t *testing.T, server string) (addr, ca string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server)
			if err != nil {
				_ = from.Close()
				continue
			}
			pipe := func(a, b net.Conn) { _, _ = io.Copy(a, b); _ = a.Close(); _ = b.Close() }
			go pipe(from, to)
			go pipe(to, from)
		}
	}()
	return l.Addr().String(), ca
}
