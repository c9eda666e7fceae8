package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/weir-ml/weir/registry/feature"
)

// fault gives an error of the server, of the connection or of the credentials its
// kind and a way out.
func (b *bucket) fault(op, key string, err error) error {
	if err == nil {
		b.worked.Store(true)
		return nil
	}
	var fe *feature.Error
	if errors.As(err, &fe) {
		return err
	}
	// A context that has ended says more than the request that ended with it; a deadline of ours is not one.
	if errors.Is(err, context.Canceled) {
		return err
	}
	what := b.URL()
	if key != "" {
		what = b.name(key)
	}
	kind, hint, cause := b.judge(err)
	return feature.Errorf(kind, "objects."+op, what, "%w", cause).WithHint("%s", hint)
}

func (b *bucket) judge(err error) (kind feature.ErrorKind, hint string, cause error) {
	status, code := statusOf(err), codeOf(err)
	cause = err
	if status != 0 {
		cause = answer{status, code, err}
	}
	const keys = "look at s3.access_key_id and s3.secret_access_key, or at what the usual chain finds (AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role)"
	switch {
	case code == "NoSuchBucket":
		return feature.NotFound, "make the bucket, or look at the name and at s3.endpoint", cause
	case code == "InvalidAccessKeyId", code == "XAdminUserNotFound", code == "SignatureDoesNotMatch", code == "ExpiredToken", code == "InvalidToken", status == http.StatusUnauthorized:
		return feature.Unauthorized, keys, cause
	case code == "NoSuchKey", code == "NotFound", status == http.StatusNotFound:
		return feature.NotFound, "", missing{cause}
	case isBusy(code):
		return feature.Unavailable, "another write of that name is under way", cause
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return feature.Conflict, "", cause
	case code == "RequestTimeTooSkewed":
		return feature.Unauthorized, "the clock of this machine or of the server is wrong", cause
	case code == "PermanentRedirect", code == "AuthorizationHeaderMalformed", status == http.StatusMovedPermanently:
		return feature.Invalid, "the bucket is in another region: set s3.region", cause
	case status == http.StatusForbidden:
		return feature.Unauthorized, "the keys may not do this: they need ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload on the bucket; " + keys, cause
	case status == http.StatusNotImplemented, code == "NotImplemented":
		return feature.Unsupported, "the server must know conditional writes (If-None-Match), ranges and multipart uploads", cause
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		code == "SlowDown", code == "RequestTimeout", code == "RequestTimeoutException":
		return feature.Unavailable, "the server is overloaded or has a fault of its own", cause
	case status >= 400:
		return feature.Invalid, "", cause
	case status != 0: // it answered, but not what S3 answers
		return feature.Invalid, "is that an S3 server? look at s3.endpoint", cause
	case isCredentials(err):
		if b.worked.Load() {
			// The chain had some before: whoever renews them is away for a moment.
			return feature.Unavailable, keys, cause
		}
		return feature.Unauthorized, "no credentials: set s3.access_key_id and s3.secret_access_key, or give the usual chain some (AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role)", cause
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return feature.Unavailable, "there is no such host: look at s3.endpoint, s3.region and s3.path_style", cause
	}
	return feature.Unavailable, "the server cannot be reached or does not answer: look at s3.endpoint", cause
}

// statusOf is the status of the server's answer, 0 where there was none.
func statusOf(err error) int {
	var res *awshttp.ResponseError
	if errors.As(err, &res) {
		return res.HTTPStatusCode()
	}
	return 0
}

// codeOf is the server's own name of a fault, "" where it gave none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isBusy tells of a write that met another one, of the same name, under way.
func isBusy(code string) bool {
	return code == "ConditionalRequestConflict" || code == "OperationAborted"
}

// isCredentials tells that a request could not be signed, so never went out.
func isCredentials(err error) bool {
	var signing *v4.SigningError
	return errors.As(err, &signing) || strings.Contains(err.Error(), "get identity: ")
}

// answer is what a server said, in one line.
type answer struct {
	status int
	code   string
	err    error
}

func (a answer) Error() string {
	var api smithy.APIError
	said := http.StatusText(a.status)
	if errors.As(a.err, &api) {
		if api.ErrorMessage() != "" {
			said = api.ErrorMessage()
		}
		if a.code != "" && a.code != said {
			said = a.code + ": " + said
		}
	}
	return fmt.Sprintf("the server answered %d %s", a.status, said)
}

func (a answer) Unwrap() error { return a.err }

// missing is fs.ErrNotExist with what the server said.
type missing struct{ err error }

func (m missing) Error() string        { return m.err.Error() }
func (m missing) Unwrap() error        { return m.err }
func (m missing) Is(target error) bool { return target == fs.ErrNotExist }
