package flight

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/weir-ml/weir/registry/feature"
)

// store keeps the spines of DoPut on disk until their DoGet: so many, so much, so
// long. Their files have no names once they are open, so that nothing stays behind
// whatever happens to the process.
type store struct {
	cfg    Config
	folder string

	mu     sync.Mutex
	closed bool
	bytes  int64 // of all uploads, those that come in included
	coming int
	waits  map[storeKey]*upload
}

// storeKey is the hash of a command: that of the SDK's holds a random id, ours asks for one.
type storeKey [sha256.Size]byte

func key(d *arrowflight.FlightDescriptor) storeKey { return sha256.Sum256(d.GetCmd()) }

type upload struct {
	file    *os.File
	size    int64
	users   int // DoGets under way
	gone    bool
	expires *time.Timer
}

func newStore(c Config, folder string) *store {
	return &store{cfg: c, folder: folder, waits: map[storeKey]*upload{}}
}

func notWaiting() error {
	return feature.Errorf(feature.NotFound, opFlight, "spine", "none waits for this command").
		WithHint("send it with do_put first; it is forgotten once it was fetched, and after flight.age")
}

// put keeps the rest of a stream.
func (s *store) put(ctx context.Context, k storeKey, in *inbox) (err error) {
	if err := s.enter(k); err != nil {
		return err
	}
	u := &upload{}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.coming--
		if err == nil && s.closed {
			err = feature.Errorf(feature.Unavailable, opFlight, "spine", "the server stops")
		}
		if err == nil && s.waits[k] != nil {
			err = twice()
		}
		if err != nil {
			s.drop(u)
			return
		}
		s.waits[k] = u
		u.expires = time.AfterFunc(s.cfg.Age, func() { s.forget(k, u) })
	}()
	if u.file, err = s.create(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(u.file, 1<<20)
	for {
		d, err := in.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := protodelim.MarshalTo(w, d)
		if err != nil {
			return s.fault(err)
		}
		if err := s.grow(u, int64(n)); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return s.fault(err)
	}
	return nil
}

func twice() error {
	return feature.Errorf(feature.Conflict, opFlight, "spine", "one waits for this very command").
		WithHint("give each upload an id of its own")
}

func (s *store) enter(k storeKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return feature.Errorf(feature.Unavailable, opFlight, "spine", "the server stops")
	case s.waits[k] != nil:
		return twice()
	case s.coming+len(s.waits) >= s.cfg.Uploads:
		return feature.Errorf(feature.Exhausted, opFlight, "spine", "%d others wait to be fetched", s.cfg.Uploads).
			WithHint("fetch them with do_get, use do_exchange, or let flight.uploads be larger; each is forgotten after %s", s.cfg.Age)
	}
	s.coming++
	return nil
}

func (s *store) create() (*os.File, error) {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, s.fault(err)
	}
	f, err := os.CreateTemp(s.folder, "spine-*")
	if err != nil {
		return nil, s.fault(err)
	}
	_ = os.Remove(f.Name()) // where an open file cannot be removed, drop does it
	return f, nil
}

func (s *store) fault(err error) error {
	return feature.Errorf(feature.Exhausted, opFlight, "folder "+s.folder, "%w", err).
		WithHint("the spine could not be kept there; do_exchange needs no such room")
}

// grow counts bytes before they are kept.
func (s *store) grow(u *upload, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.size += n
	if s.bytes += n; s.bytes > s.cfg.Bytes {
		return feature.Errorf(feature.Exhausted, opFlight, "spine", "the spines that wait would take more than %d bytes", s.cfg.Bytes).
			WithHint("use do_exchange, or let flight.bytes be larger")
	}
	return nil
}

func (s *store) has(k storeKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waits[k] != nil
}

// take opens a spine that waits; back says whether it has been answered and can go.
func (s *store) take(k storeKey) (_ arrowflight.DataStreamReader, back func(done bool), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.waits[k]
	if u == nil {
		return nil, nil, notWaiting()
	}
	u.users++
	r := &stored{bufio.NewReaderSize(io.NewSectionReader(u.file, 0, u.size), 1<<20)}
	return r, func(done bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		u.users--
		if done && s.waits[k] == u {
			delete(s.waits, k)
			u.gone = true
		}
		s.drop(u)
	}, nil
}

func (s *store) forget(k storeKey, u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits[k] == u {
		delete(s.waits, k)
		u.gone = true
		s.drop(u)
	}
}

// drop gives an upload's room back once nobody needs it.
func (s *store) drop(u *upload) {
	waits := u.expires != nil && !u.gone
	if waits || u.users > 0 {
		return
	}
	if u.expires != nil {
		u.expires.Stop()
	}
	s.bytes -= u.size
	u.size = 0
	if u.file != nil {
		_ = u.file.Close()
		_ = os.Remove(u.file.Name()) // usually done already
		u.file = nil
	}
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for k, u := range s.waits {
		delete(s.waits, k)
		u.gone = true
		s.drop(u)
	}
	return nil
}

// stored reads messages back.
type stored struct{ r *bufio.Reader }

// Recv implements arrowflight.DataStreamReader.
func (s *stored) Recv() (*arrowflight.FlightData, error) {
	d := new(arrowflight.FlightData)
	if err := (protodelim.UnmarshalOptions{MaxSize: -1}).UnmarshalFrom(s.r, d); err != nil {
		return nil, err
	}
	return d, nil
}
