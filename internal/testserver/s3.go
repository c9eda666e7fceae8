package testserver

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/weir-ml/weir/internal/testserver/native"
)

// S3Server is a bucket of the caller's own, and how to reach it: path style.
type S3Server struct {
	Endpoint          string // http://host:port
	Region            string
	AccessKey, Secret string
	Bucket            string
	control           // of the server
	client            *s3.Client
}

// URL names the bucket.
func (s *S3Server) URL() string { return "s3://" + s.Bucket }

// S3 gives a new, empty bucket on a server that other tests may use at the same
// time. It is removed with the test.
func S3(t testing.TB) *S3Server {
	t.Helper()
	server := sharedS3(t)
	s := bucketOn(t, server)
	t.Cleanup(func() { s.remove(t) })
	return s
}

// OwnS3 gives a bucket on a server of the test's own, which it may stop, kill,
// pause and start again. It is always a child process.
func OwnS3(t testing.TB) *S3Server {
	t.Helper()
	server := startS3(t, t.Cleanup)
	s := bucketOn(t, server.URL())
	s.control = control{server}
	return s
}

// sharedS3 is the url of a server, with its keys.
func sharedS3(t testing.TB) string {
	t.Helper()
	if named := os.Getenv("WEIR_TEST_S3"); named != "" {
		return named
	}
	process.mu.Lock()
	defer process.mu.Unlock()
	if !process.active {
		return startS3(t, t.Cleanup).URL()
	}
	if process.s3 == nil {
		process.s3 = startS3(t, process.later)
	}
	return process.s3.URL()
}

func startS3(t testing.TB, later func(func())) *native.S3 {
	t.Helper()
	s, err := native.StartS3(starting(t), tempDir(t, later))
	if s != nil && s.Process != nil {
		later(func() { s.Kill() })
	}
	if err != nil {
		absent(t, "s3", err)
	}
	return s
}

func bucketOn(t testing.TB, server string) *S3Server {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.User == nil {
		t.Fatal("WEIR_TEST_S3 must be http://KEY:SECRET@HOST:PORT")
	}
	s := &S3Server{Endpoint: u.Scheme + "://" + u.Host, Region: "us-east-1", AccessKey: u.User.Username()}
	s.Secret, _ = u.User.Password()
	s.Bucket = strings.ReplaceAll(Name(t), "_", "-")
	s.client = s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.Secret, ""),
	})
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.Bucket}); err != nil {
		t.Fatal(err)
	}
	return s
}

// remove empties the bucket and takes it away; what fails is left to the server's end.
func (s *S3Server) remove(t testing.TB) {
	ctx := context.WithoutCancel(t.Context())
	if list, err := s.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.Bucket}); err == nil {
		for _, u := range list.Uploads {
			_, _ = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.Bucket, Key: u.Key, UploadId: u.UploadId})
		}
	}
	keys, err := s.keys(ctx, "")
	for batch := range slices.Chunk(keys, 1000) {
		var ids []types.ObjectIdentifier
		for _, k := range batch {
			ids = append(ids, types.ObjectIdentifier{Key: &k})
		}
		_, _ = s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.Bucket, Delete: &types.Delete{Objects: ids}})
	}
	if _, del := s.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &s.Bucket}); err != nil || del != nil {
		t.Logf("bucket %s is left on the server: %v %v", s.Bucket, err, del)
	}
}

// Put writes an object, as somebody else than the code under test would.
func (s *S3Server) Put(t testing.TB, key string, content []byte) {
	t.Helper()
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
}

// Delete removes an object.
func (s *S3Server) Delete(t testing.TB, key string) {
	t.Helper()
	if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// Keys lists the objects whose keys begin with prefix, in order.
func (s *S3Server) Keys(t testing.TB, prefix string) []string {
	t.Helper()
	keys, err := s.keys(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Uploads counts the multipart uploads that are neither completed nor aborted.
func (s *S3Server) Uploads(t testing.TB) int {
	t.Helper()
	list, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Uploads)
}

func (s *S3Server) keys(ctx context.Context, prefix string) (keys []string, err error) {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	return keys, nil
}
