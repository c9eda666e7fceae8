package protoschema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxText bounds a file, in bytes.
const MaxText = 4 << 20

// name is what the file itself is called among those that it imports.
const name = "event.proto"

// Parse reads a file. Imports are the files that it uses, by the names under which it does.
func Parse(text string, imports map[string]string) (file protoreflect.FileDescriptor, err error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the file has %d bytes, %d at most", len(text), MaxText)
	}
	defer func() { // whatever somebody else's file does to the parser, it is a fault of the file
		if x := recover(); x != nil {
			file, err = nil, fmt.Errorf("it cannot be read: %v", x)
		}
	}()
	all := map[string]string{}
	for k, v := range imports {
		all[k] = v
	}
	all[name] = text
	for _, file := range all {
		if nests(file) {
			return nil, fmt.Errorf("it nests more than %d brackets", maxDepth)
		}
	}
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(all)})}
	files, err := c.Compile(context.Background(), name)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), name+":"))
	}
	if len(files) != 1 {
		return nil, errors.New("there is no file")
	}
	return files[0], nil
}

// Message finds a message by its full name, or without one the first of the file.
func Message(file protoreflect.FileDescriptor, full string) (protoreflect.MessageDescriptor, error) {
	if full == "" {
		if file.Messages().Len() == 0 {
			return nil, errors.New("the file has no message")
		}
		return file.Messages().Get(0), nil
	}
	if m := find(file.Messages(), protoreflect.FullName(full)); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("the file has no message %s: give its full name, with the package", full)
}

func find(ms protoreflect.MessageDescriptors, full protoreflect.FullName) protoreflect.MessageDescriptor {
	for i := range ms.Len() {
		m := ms.Get(i)
		if m.FullName() == full {
			return m
		}
		if in := find(m.Messages(), full); in != nil {
			return in
		}
	}
	return nil
}

// At finds a message by its place: the first index among the messages of the file,
// each following one among those inside of the message before.
func At(file protoreflect.FileDescriptor, path []int) (protoreflect.MessageDescriptor, error) {
	ms := file.Messages()
	var m protoreflect.MessageDescriptor
	for _, i := range path {
		if i < 0 || i >= ms.Len() {
			return nil, fmt.Errorf("the file has no message at %v", path)
		}
		m = ms.Get(i)
		ms = m.Messages()
	}
	if m == nil {
		return nil, errors.New("there is no place of a message")
	}
	return m, nil
}
