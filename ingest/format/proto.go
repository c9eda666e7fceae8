package format

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weir-ml/weir/ingest/protobuf"
	"github.com/weir-ml/weir/internal/protoschema"
	"github.com/weir-ml/weir/registry/feature"
)

// protoMessage finds the message of a source's events in its own .proto file.
func protoMessage(source *feature.Source) (protoreflect.MessageDescriptor, error) {
	var text string
	if err := json.Unmarshal(source.EventSchema, &text); err != nil {
		return nil, errors.New("it must be the text of a .proto file")
	}
	file, err := protoschema.Parse(text, nil)
	if err != nil {
		return nil, err
	}
	return protoschema.Message(file, source.Message)
}

// protoReader reads events of the messages of one file of a schema registry.
type protoReader struct {
	file protoreflect.FileDescriptor
	want string // the message's full name; "" for any
	max  int

	mu     sync.RWMutex
	byPath map[string]*protobuf.Decoder // guarded by mu; as many as the file has messages
}

func newProtoReader(s *Schema, want string, max int) (*protoReader, error) {
	imports := map[string]string{}
	for _, r := range s.References {
		imports[r.Name] = r.Text
	}
	file, err := protoschema.Parse(s.Text, imports)
	if err != nil {
		return nil, err
	}
	return &protoReader{file: file, want: want, max: max, byPath: map[string]*protobuf.Decoder{}}, nil
}

// maxPath bounds how deep a message may stand in others.
const maxPath = 64

// place reads where in its file the event's message stands: how many indexes follow, and
// those; a single 0 is the first message.
func place(payload []byte) (path []int, rest []byte, err error) {
	n, size := binary.Varint(payload)
	if size <= 0 || n < 0 || n > maxPath {
		return nil, nil, errors.New("the place of its message, which cannot be read")
	}
	payload = payload[size:]
	if n == 0 {
		return []int{0}, payload, nil
	}
	for range n {
		i, size := binary.Varint(payload)
		if size <= 0 || i < 0 || i > 1<<20 {
			return nil, nil, errors.New("the place of its message, which cannot be read")
		}
		path, payload = append(path, int(i)), payload[size:]
	}
	return path, payload, nil
}

func (r *protoReader) AppendJSON(dst, payload []byte) ([]byte, error) {
	if len(payload) > 0 && payload[0] == 0 { // the usual case
		d, err := r.decoder([]int{0}, "[0]")
		if err != nil {
			return dst, err
		}
		return d.AppendJSON(dst, payload[1:])
	}
	path, rest, err := place(payload)
	if err != nil {
		return dst, err
	}
	d, err := r.decoder(path, fmt.Sprint(path))
	if err != nil {
		return dst, err
	}
	return d.AppendJSON(dst, slices.Clip(rest))
}

func (r *protoReader) decoder(path []int, key string) (*protobuf.Decoder, error) {
	r.mu.RLock()
	d := r.byPath[key]
	r.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	m, err := protoschema.At(r.file, path)
	if err != nil {
		return nil, err
	}
	if r.want != "" && string(m.FullName()) != r.want {
		return nil, fmt.Errorf("a message %s, this is a %s", r.want, m.FullName())
	}
	if d, err = protobuf.New(m, r.max); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byPath[key] = d
	return d, nil
}
