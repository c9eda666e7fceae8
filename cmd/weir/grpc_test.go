package main

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/weir-ml/weir/proto/weir/v1"
)

// TestWrongRequests calls every method of weir.v1 and of Feast's service with nothing, with nonsense
// and with numbers at their ends. Each is answered, or refused with a code that
// says whose fault it is: never Internal or Unknown, never not at all.
func TestWrongRequests(t *testing.T) {
	w := start(t, testConfig(t))
	w.apply(strings.ReplaceAll(strings.ReplaceAll(peopleManifest, "%[1]s", "default"), "%[2]s", "people"))
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	kinds := map[string]filling{
		"nothing":   {},
		"negative":  {number: -1, text: "nobody"},
		"least":     {number: math.MinInt64, text: "people"},
		"most":      {number: math.MaxInt64, text: "people"},
		"odd names": {number: 1, text: "../\x00%s 'x'"},
		"long":      {number: 1 << 40, text: strings.Repeat("x", 70_000)},
	}
	methods := 0
	call := func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				m := s.Methods().Get(j)
				methods++
				for name, fill := range kinds {
					// With each alternative of a oneof as the first message, and with no message at all.
					for _, msg := range append(fill.messages(m.Input()), nil) {
						if msg == nil && !m.IsStreamingClient() {
							continue
						}
						err := callOnce(t, conn, m, msg)
						c := status.Code(err)
						switch c {
						case codes.Unknown, codes.Internal, codes.DeadlineExceeded, codes.Unavailable:
							t.Errorf("%s with %s: %v", m.FullName(), name, err)
						}
					}
				}
			}
		}
		return true
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("weir.v1", call)
	require.Greater(t, methods, 15)
	before := methods
	protoregistry.GlobalFiles.RangeFilesByPackage("feast.serving", call)
	require.Equal(t, 2, methods-before)
	age, _ := w.lookupAge("default", "nobody") // it lives
	require.Nil(t, age)
}

// filling is what a message is filled with.
type filling struct {
	number int64
	text   string
}

func (f filling) messages(d protoreflect.MessageDescriptor) []*dynamicpb.Message {
	alternatives := 1
	for i := range d.Oneofs().Len() {
		alternatives = max(alternatives, d.Oneofs().Get(i).Fields().Len())
	}
	var out []*dynamicpb.Message
	for i := range alternatives {
		m := dynamicpb.NewMessage(d)
		if f != (filling{}) {
			f.into(m, i, 0)
		}
		out = append(out, m)
	}
	return out
}

func (f filling) into(m *dynamicpb.Message, alternative, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(alternative%o.Fields().Len()) != fd {
			continue
		}
		switch {
		case fd.IsMap():
			if fd.MapValue().Kind() == protoreflect.MessageKind && depth <= 4 {
				sub := dynamicpb.NewMessage(fd.MapValue().Message())
				f.into(sub, alternative, depth+1)
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(f.text).MapKey(), protoreflect.ValueOfMessage(sub))
			} else if fd.MapValue().Kind() == protoreflect.StringKind && fd.MapKey().Kind() == protoreflect.StringKind {
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(f.text).MapKey(), protoreflect.ValueOfString(f.text))
			}
		case fd.Kind() == protoreflect.MessageKind:
			if depth > 4 {
				continue
			}
			sub := dynamicpb.NewMessage(fd.Message())
			f.into(sub, alternative, depth+1)
			if fd.IsList() {
				m.Mutable(fd).List().Append(protoreflect.ValueOfMessage(sub))
			} else {
				m.Set(fd, protoreflect.ValueOfMessage(sub))
			}
		default:
			v := f.value(fd)
			if fd.IsList() {
				m.Mutable(fd).List().Append(v)
				m.Mutable(fd).List().Append(v)
			} else {
				m.Set(fd, v)
			}
		}
	}
}

func (f filling) value(fd protoreflect.FieldDescriptor) protoreflect.Value {
	n := f.number
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n > 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(max(math.MinInt32, min(math.MaxInt32, n))))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(max(math.MinInt32, min(math.MaxInt32, n))))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.text))
	default:
		return protoreflect.ValueOfString(f.text)
	}
}

// callOnce sends at most one message, whatever the kind of the method, and reads to the end.
func callOnce(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, msg *dynamicpb.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	path := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return conn.Invoke(ctx, path, msg, dynamicpb.NewMessage(m.Output()))
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, path)
	require.NoError(t, err)
	if msg != nil {
		_ = s.SendMsg(msg) // the server's reason comes from RecvMsg
	}
	_ = s.CloseSend()
	for {
		if err := s.RecvMsg(dynamicpb.NewMessage(m.Output())); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
	}
}
