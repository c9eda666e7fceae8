package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-ml/weir/registry/feature"
)

// What Redis answers while it cannot serve but will again: the first word of its error.
var passing = map[string]string{
	"LOADING":     "",
	"READONLY":    "the server is a replica; is the address the master's?",
	"CLUSTERDOWN": "",
	"MASTERDOWN":  "",
	"TRYAGAIN":    "",
	"MOVED":       "set redis.cluster: true if the server is part of a cluster",
	"ASK":         "",
	"BUSY":        "another client's script holds the server up",
	"NOREPLICAS":  "",
	"MISCONF":     "the server cannot save to its disk",
	"OOM":         "the server has reached maxmemory and takes no rows until there is room: raise maxmemory, or set a ttl on the views; nothing is lost meanwhile",
	"ERR":         "",
}

// classify makes a feature.Error of what the client returns; only what may pass is Unavailable.
func (s *Store) classify(op string, err error) error {
	return classify(op, strings.Join(s.cfg.Addrs, ","), err)
}

// shardError is classify for what one server did.
func (s *Store) shardError(op string, l *lane, err error) error {
	if l == nil {
		return s.classify(op, err)
	}
	return classify(op, l.addr, err)
}

func classify(op, what string, err error) error {
	if err == nil {
		return nil
	}
	var unknown *unknownError
	if errors.As(err, &unknown) { // whatever is wrong with the table
		return &feature.Error{Kind: feature.Unavailable, Op: "redis." + op, What: what, Err: err, Hint: "values that are there are answered"}
	}
	var whole *feature.Error
	if errors.As(err, &whole) {
		return err
	}
	e := &feature.Error{Kind: feature.Internal, Op: "redis." + op, What: what, Err: err}
	var lost *lostError
	var handshake *handshakeError
	var reply goredis.Error
	var netErr net.Error
	switch {
	case errors.As(err, &reply):
		word, _, _ := strings.Cut(reply.Error(), " ")
		switch hint, ok := passing[word]; {
		case ok && word == "ERR":
			if strings.HasPrefix(reply.Error(), "ERR AUTH") {
				e.Kind, e.Hint = feature.Unauthorized, "the server has no password for this user: check redis.username and redis.password"
			}
			if strings.Contains(err.Error(), "max number of clients") {
				e.Kind, e.Hint = feature.Unavailable, "raise the server's maxclients or lower redis.pool_size"
			}
		case ok:
			e.Kind, e.Hint = feature.Unavailable, hint
		case word == "NOAUTH" || word == "WRONGPASS" || word == "NOPERM":
			e.Kind, e.Hint = feature.Unauthorized, "check redis.username and redis.password, and the user's rights"
		case word == "DENIED":
			e.Kind, e.Hint = feature.Unauthorized, "the server is in protected mode: give it a password, or have it listen where Weir is"
		case word == "WRONGTYPE":
			e.Hint = "a key of Weir's layout is of another type: does another program write keys that begin with w:{ there?"
		}
	case errors.Is(err, errShed):
		e.Kind, e.Hint = feature.Unavailable, "raise redis.max_in_flight, or send fewer lookups at once"
	case errors.As(err, &lost):
		e.Kind = feature.Unavailable
	case certificate(err):
		e.Kind, e.Hint = feature.Unauthorized, "check redis.tls: ca_file, server_name, and the server's own certificate"
	case errors.As(err, &handshake):
		e.Kind, e.Hint = feature.Unavailable, "does the server speak TLS at this address, and does it take the certificate of redis.tls.cert_file?"
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted):
		e.Kind, e.Hint = feature.Unavailable, "is Redis running there?"
	case strings.HasPrefix(err.Error(), "CLUSTERDOWN"), strings.Contains(err.Error(), "cluster has no"), strings.Contains(err.Error(), "sentinels are unreachable"):
		e.Kind = feature.Unavailable
	}
	return e
}

// broken tells that a connection was dead when it was used: the server may
// well be there on another one.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// late tells that time ran out.
func late(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// unauthorized tells that the server does not want us: asking again soon is of no use.
func unauthorized(err error) bool {
	var r goredis.Error
	if !errors.As(err, &r) {
		return certificate(err)
	}
	word, _, _ := strings.Cut(r.Error(), " ")
	return word == "NOAUTH" || word == "DENIED" || word == "WRONGPASS" || word == "NOPERM" || strings.HasPrefix(r.Error(), "ERR AUTH")
}

// certificate tells that a certificate was not what it must be, theirs or ours.
func certificate(err error) bool {
	var theirs *tls.CertificateVerificationError
	return errors.As(err, &theirs)
}
