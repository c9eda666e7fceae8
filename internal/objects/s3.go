package objects

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/weir-ml/weir/registry/feature"
)

// attempts is how often one request is made, with pauses of 50 ms to 3 s in
// between: about two seconds. Who calls waits longer, if it wants to.
const attempts = 6

// bucket is a Bucket of S3.
type bucket struct {
	client *s3.Client
	bucket string
	prefix string // "" or with a slash at the end
	worked atomic.Bool
	cache  *cache
}

func openS3(ctx context.Context, name, prefix string, cfg Config) (*bucket, error) {
	b := &bucket{bucket: name, cache: newCache(cfg.CacheBytes)}
	if prefix != "" {
		b.prefix = prefix + "/"
	}
	pathStyle, err := cfg.pathStyle()
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "objects.open", b.URL(), "%w", err)
	}
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient(cfg.Timeout)),
		config.WithLogger(logging.Nop{}), // its lines could hold what must not be logged
		config.WithRetryer(func() aws.Retryer { return retryer() }),
	}
	if cfg.Region != "" {
		load = append(load, config.WithRegion(cfg.Region))
	}
	if cfg.AccessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			cfg.AccessKeyID, string(cfg.SecretAccessKey), string(cfg.SessionToken))))
	}
	sdk, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "objects.open", b.URL(), "%w", err).
			WithHint("look at AWS_* in the environment and at the profiles in ~/.aws")
	}
	if sdk.Region == "" {
		sdk.Region = "us-east-1" // most other servers do not care, and Amazon says which one it is
	}
	b.client = s3.NewFromConfig(sdk, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
			// Newer checksums are not known to every server that speaks the protocol.
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	one := int32(1)
	_, err = b.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &b.prefix, MaxKeys: &one})
	if err := b.fault("open", "", err); err != nil {
		return nil, err
	}
	return b, nil
}

// retryer repeats what may pass. All requests here may be repeated: a write names itself, see put.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.RateLimiter = ratelimit.None // one slow hour of the server must not forbid retries in the next
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return backoff(attempt), nil })
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(passing)}, o.Retryables...)
	})
}

// passing tells of errors that the SDK does not know to be worth another try.
func passing(err error) aws.Ternary {
	var res *awshttp.ResponseError
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !isTimeout(err), isCredentials(err):
		return aws.UnknownTernary
	case errors.As(err, &dns) && dns.IsNotFound:
		return aws.FalseTernary
	case errors.As(err, &res):
		if isBusy(codeOf(err)) {
			return aws.TrueTernary
		}
		if s := res.HTTPStatusCode(); s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
			return aws.TrueTernary
		}
		if res.HTTPStatusCode()/100 == 2 {
			return aws.TrueTernary // the answer broke off
		}
		return aws.UnknownTernary
	}
	return aws.TrueTernary // no answer at all
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// backoff is the pause before another try, half of it random.
func backoff(attempt int) time.Duration {
	most := min(50*time.Millisecond<<min(attempt, 10), 3*time.Second)
	return most/2 + rand.N(most/2)
}

// pause waits for another try; false when ctx ends first.
func pause(ctx context.Context, attempt int) bool {
	t := time.NewTimer(backoff(attempt))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// httpClient gives up a connection over which nothing has moved for a while: the
// SDK has no bound for a body that stops in the middle.
func httpClient(idle time.Duration) aws.HTTPClient {
	dialer := &net.Dialer{Timeout: min(idle, 5*time.Second), KeepAlive: 30 * time.Second}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &watched{c, idle}, nil
		}
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
		t.TLSHandshakeTimeout = min(idle, 10*time.Second)
	})
}

// watched is a connection whose reads and writes have to move within idle.
type watched struct {
	net.Conn
	idle time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	_ = w.SetReadDeadline(time.Now().Add(w.idle))
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	// An answer is due after what was written, not after what was read last.
	_ = w.SetDeadline(time.Now().Add(w.idle))
	return w.Conn.Write(p)
}

func (b *bucket) URL() string { return strings.TrimSuffix("s3://"+b.bucket+"/"+b.prefix, "/") }

func (b *bucket) name(key string) string { return "s3://" + b.bucket + "/" + b.prefix + key }

func (b *bucket) key(key string) *string { k := b.prefix + key; return &k }

func (b *bucket) List(ctx context.Context, prefix string, f func(Object) error) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: b.key(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err := b.fault("list", prefix, err); err != nil {
			return err
		}
		for _, o := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), b.prefix)
			if key == "" || strings.HasSuffix(key, "/") && aws.ToInt64(o.Size) == 0 {
				continue // what consoles make of a folder
			}
			if err := f(Object{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified), ETag: aws.ToString(o.ETag)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bucket) Stat(ctx context.Context, key string) (Object, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.bucket, Key: b.key(key)})
	if err := b.fault("stat", key, err); err != nil {
		return Object{}, err
	}
	return Object{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified), ETag: aws.ToString(out.ETag)}, nil
}

func (b *bucket) Delete(ctx context.Context, keys []string) error {
	var errs []error
	for len(keys) > 0 {
		n := min(len(keys), 1000) // the most that one request takes
		ids := make([]types.ObjectIdentifier, n)
		for i, k := range keys[:n] {
			ids[i].Key = b.key(k)
		}
		keys = keys[n:]
		quiet := true
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.bucket, Delete: &types.Delete{Objects: ids, Quiet: &quiet}})
		if err := b.fault("delete", "", err); err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, e := range out.Errors {
			if code := aws.ToString(e.Code); code != "NoSuchKey" {
				kind := feature.Unavailable
				if code == "AccessDenied" {
					kind = feature.Unauthorized
				}
				errs = append(errs, feature.Errorf(kind, "objects.delete", "s3://"+b.bucket+"/"+aws.ToString(e.Key), "%s: %s", code, aws.ToString(e.Message)))
			}
		}
	}
	return errors.Join(errs...)
}

func (b *bucket) Abandoned(ctx context.Context, prefix string, before time.Time) (int, error) {
	n := 0
	pages := s3.NewListMultipartUploadsPaginator(b.client, &s3.ListMultipartUploadsInput{Bucket: &b.bucket, Prefix: b.key(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err := b.fault("list uploads", prefix, err); err != nil {
			return n, err
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(before) {
				continue
			}
			_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.bucket, Key: u.Key, UploadId: u.UploadId})
			if err != nil && codeOf(err) == "NoSuchUpload" {
				continue // completed or aborted meanwhile
			}
			if err := b.fault("abort", prefix, err); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
