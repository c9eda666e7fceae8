package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-ml/weir/registry/feature"
)

func (b *bucket) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	if err := b.fault("get", key, err); err != nil {
		return nil, Object{}, err
	}
	o := Object{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}
	return &stream{ctx: ctx, b: b, o: o, end: o.Size, body: out.Body}, o, nil
}

// stream reads an object from at to end, over as many connections as it takes.
type stream struct {
	ctx     context.Context
	b       *bucket
	o       Object
	at, end int64
	body    io.ReadCloser // nil: to be asked for
	failed  int           // tries without a byte
}

func (s *stream) Read(p []byte) (int, error) {
	if s.at >= s.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if s.body == nil {
			body, err := s.b.from(s.ctx, s.o, s.at, s.end)
			if err != nil {
				return 0, err
			}
			s.body = body
		}
		n, err := s.body.Read(p[:min(int64(len(p)), s.end-s.at)])
		s.at += int64(n)
		if n > 0 {
			s.failed = 0
			return n, nil // an error comes again
		}
		if err == nil {
			continue
		}
		_ = s.body.Close()
		s.body = nil
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if s.failed++; s.failed >= attempts || !pause(s.ctx, s.failed) {
			if s.ctx.Err() != nil {
				return 0, context.Cause(s.ctx)
			}
			return 0, s.b.fault("get", s.o.Key, err)
		}
	}
}

func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

// from asks for a part of an object that has not been replaced since o was told.
func (b *bucket) from(ctx context.Context, o Object, from, end int64) (io.ReadCloser, error) {
	span := fmt.Sprintf("bytes=%d-%d", from, end-1)
	in := &s3.GetObjectInput{Bucket: &b.bucket, Key: b.key(o.Key), Range: &span}
	if o.ETag != "" {
		in.IfMatch = &o.ETag
	}
	out, err := b.client.GetObject(ctx, in)
	if statusOf(err) == http.StatusPreconditionFailed {
		return nil, feature.Errorf(feature.Conflict, "objects.get", b.name(o.Key), "the object was replaced while it was read").
			WithHint("read it again, from its beginning")
	}
	if err := b.fault("get", o.Key, err); err != nil {
		return nil, err
	}
	if got := aws.ToInt64(out.ContentLength); got != end-from {
		_ = out.Body.Close()
		return nil, feature.Errorf(feature.Unsupported, "objects.get", b.name(o.Key), "asked for %d bytes at %d, the server gives %d", end-from, from, got).
			WithHint("the server must know ranges")
	}
	return out.Body, nil
}

// tailBytes is read when an object is opened: a Parquet file's footer with its
// indexes, and all of a small object. It tells the size too, so opening is one request.
const tailBytes = 256 << 10

func (b *bucket) Open(ctx context.Context, key string) (*File, error) {
	o, tail, err := b.tail(ctx, key)
	if err != nil {
		return nil, err
	}
	return newFile(ctx, b, b.cache, o, tail), nil
}

// tail describes an object and reads its last bytes.
func (b *bucket) tail(ctx context.Context, key string) (o Object, tail []byte, err error) {
	span := "bytes=-" + strconv.Itoa(tailBytes)
	for failed := 0; ; {
		out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: b.key(key), Range: &span})
		if statusOf(err) == http.StatusRequestedRangeNotSatisfiable { // it is empty
			o, err = b.Stat(ctx, key)
			return o, nil, err
		}
		if err := b.fault("open", key, err); err != nil {
			return o, nil, err
		}
		o = Object{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}
		if _, total, ok := strings.Cut(aws.ToString(out.ContentRange), "/"); ok {
			if n, err := strconv.ParseInt(total, 10, 64); err == nil {
				o.Size = n
			}
		}
		tail = make([]byte, min(aws.ToInt64(out.ContentLength), tailBytes))
		skip := aws.ToInt64(out.ContentLength) - int64(len(tail)) // of a server that gave the whole object
		if _, err = io.CopyN(io.Discard, out.Body, skip); err == nil {
			_, err = io.ReadFull(out.Body, tail)
		}
		_ = out.Body.Close()
		if err == nil {
			return o, tail, nil
		}
		if failed++; failed >= attempts || !pause(ctx, failed) {
			if ctx.Err() != nil {
				return o, nil, context.Cause(ctx)
			}
			return o, nil, b.fault("open", key, err)
		}
	}
}
