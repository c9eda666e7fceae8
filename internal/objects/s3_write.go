package objects

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
)

// writeID names one write in the object's own metadata, so that a write whose
// answer was lost is told from that of somebody else.
const writeID = "weir-write"

func newWrite() map[string]string { return map[string]string{writeID: uuid.NewString()} }

func (b *bucket) Put(ctx context.Context, key string, content []byte) error {
	write, none := newWrite(), "*"
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.bucket, Key: b.key(key), Body: bytes.NewReader(content), Metadata: write, IfNoneMatch: &none,
	})
	return b.fault("put", key, b.outcome(ctx, key, err, write))
}

func (b *bucket) Replace(ctx context.Context, key string, content []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.bucket, Key: b.key(key), Body: bytes.NewReader(content)})
	return b.fault("put", key, err)
}

// outcome is what became of a write that the server may have refused: nothing is
// wrong where its first try came through, the answer got lost, and the next try met
// its own object. Where the server does not say whose object is there nobody knows,
// and the error is that of the question: a Conflict would be final.
func (b *bucket) outcome(ctx context.Context, key string, err error, write map[string]string) error {
	if err == nil || statusOf(err) != http.StatusPreconditionFailed && codeOf(err) != "NoSuchUpload" {
		return err
	}
	out, unknown := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	switch {
	case unknown == nil && out.Metadata[writeID] == write[writeID]:
		return nil
	case unknown == nil, statusOf(unknown) == http.StatusNotFound:
		return err
	}
	return unknown
}

// partBytes is the size of an upload's parts. Two are in memory: one is filled
// while the one before it is on its way. Amazon takes 10,000 of them.
const partBytes = 8 << 20

// Create starts an upload. What fits into one part is put as a whole, in one request.
func (b *bucket) Create(ctx context.Context, key string) (Upload, error) {
	return &upload{ctx: ctx, b: b, key: key, write: newWrite()}, nil
}

type upload struct {
	ctx    context.Context
	b      *bucket
	key    string
	write  map[string]string
	buf    []byte // the part being filled
	spare  []byte // the other one
	id     *string
	parts  []types.CompletedPart
	sent   chan error // of the part that is on its way; nil: none is
	failed error
	closed bool
}

func (u *upload) Write(p []byte) (n int, err error) {
	for len(p) > 0 && u.failed == nil {
		if len(u.buf) == partBytes {
			u.failed = u.send()
			continue
		}
		m := min(len(p), partBytes-len(u.buf))
		u.buf = append(u.buf, p[:m]...)
		p, n = p[m:], n+m
	}
	return n, u.failed
}

// send gives the full part away.
func (u *upload) send() error {
	if err := u.wait(); err != nil {
		return err
	}
	b := u.b
	if u.id == nil {
		out, err := b.client.CreateMultipartUpload(u.ctx, &s3.CreateMultipartUploadInput{Bucket: &b.bucket, Key: b.key(u.key), Metadata: u.write})
		if err := b.fault("upload", u.key, err); err != nil {
			return err
		}
		u.id = out.UploadId
	}
	part, number := u.buf, int32(len(u.parts)+1)
	u.parts = append(u.parts, types.CompletedPart{PartNumber: &number})
	slot := &u.parts[number-1]
	sent := make(chan error, 1)
	u.buf, u.spare, u.sent = u.spare[:0], part, sent
	go func() {
		out, err := b.client.UploadPart(u.ctx, &s3.UploadPartInput{
			Bucket: &b.bucket, Key: b.key(u.key), UploadId: u.id, PartNumber: &number, Body: bytes.NewReader(part),
		})
		if err == nil {
			slot.ETag = out.ETag
			slot.ChecksumCRC32, slot.ChecksumCRC32C, slot.ChecksumCRC64NVME = out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME
			slot.ChecksumSHA1, slot.ChecksumSHA256 = out.ChecksumSHA1, out.ChecksumSHA256
		}
		sent <- b.fault("upload", u.key, err)
	}()
	return nil
}

func (u *upload) wait() error {
	if u.sent == nil {
		return nil
	}
	err := <-u.sent
	u.sent = nil
	return err
}

func (u *upload) Close() error {
	if u.closed {
		return errors.New("objects: an upload is closed twice")
	}
	err := u.failed
	if err == nil {
		err = u.complete()
	}
	if err != nil {
		u.Abort()
	}
	u.closed, u.buf, u.spare = true, nil, nil
	return err
}

func (u *upload) complete() error {
	b := u.b
	if u.id == nil {
		none := "*"
		_, err := b.client.PutObject(u.ctx, &s3.PutObjectInput{
			Bucket: &b.bucket, Key: b.key(u.key), Body: bytes.NewReader(u.buf), Metadata: u.write, IfNoneMatch: &none,
		})
		return b.fault("put", u.key, b.outcome(u.ctx, u.key, err, u.write))
	}
	if len(u.buf) > 0 {
		if err := u.send(); err != nil {
			return err
		}
	}
	if err := u.wait(); err != nil {
		return err
	}
	none := "*"
	_, err := b.client.CompleteMultipartUpload(u.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.bucket, Key: b.key(u.key), UploadId: u.id, IfNoneMatch: &none,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if err = b.outcome(u.ctx, u.key, err, u.write); err == nil {
		u.id = nil
	}
	return b.fault("upload", u.key, err)
}

// abortWithin bounds the removal of parts; a sweep takes what is left.
const abortWithin = 10 * time.Second

func (u *upload) Abort() {
	if u.closed {
		return
	}
	u.closed = true
	_ = u.wait()
	u.buf, u.spare = nil, nil
	if u.id == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortWithin)
	defer cancel()
	_, _ = u.b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.b.bucket, Key: u.b.key(u.key), UploadId: u.id})
}
