package s3

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// What a store may answer. Everything else is the SDK's error, wrapped.
var (
	ErrNotFound     = errors.New("no such object")
	ErrExists       = errors.New("the object exists")            // 412 to If-None-Match
	ErrChanged      = errors.New("the object has changed")       // 412 to If-Match, or it is gone
	ErrNoSuchUpload = errors.New("no such upload")               // completed, aborted or expired
	ErrConflict     = errors.New("conflicting request going on") // 409, still after some attempts
	ErrUnfit        = errors.New("the store cannot keep the flush protocol")

	// What a person has to mend; it says how.
	ErrNoBucket = errors.New("no such bucket: create it, or name another one with lake")
	ErrDenied   = errors.New("access denied: look at the AWS credentials and at what they permit") // 401, 403
)

// wrap turns the SDK's error into a domain error, once. onPrecondition is what
// a 412 means for this operation.
func wrap(err error, op, key string, onPrecondition error) error {
	if err == nil {
		return nil
	}
	domain := domainError(err, onPrecondition)
	if domain == nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	return &opError{op: op, key: key, domain: domain, sdk: err}
}

func domainError(err error, onPrecondition error) error {
	if errors.Is(err, errUnfinished) {
		return ErrConflict
	}
	switch code(err) {
	case "NoSuchUpload":
		return ErrNoSuchUpload
	case "NoSuchBucket":
		return ErrNoBucket
	case "NoSuchKey", "NotFound", "InvalidRange": // an object that ends before does not hold what is asked for
		return ErrNotFound
	case "PreconditionFailed":
		return onPrecondition
	case "ConditionalRequestConflict":
		return ErrConflict
	}
	switch status(err) {
	// A 404 without a code is nobody's word: a proxy says it while the store is away. (HEAD, which has no body for a
	// code, gets NotFound from the SDK.)
	case http.StatusPreconditionFailed:
		return onPrecondition
	case http.StatusConflict:
		return ErrConflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrDenied
	case 0:
		if noCredentials(err) {
			return ErrDenied
		}
	}
	return nil
}

// noCredentials: nobody in the SDK's chain had any. It has no type for that, only its text.
func noCredentials(err error) bool {
	return err != nil && strings.Contains(err.Error(), "get credentials:")
}

// code is the API error's code, "" if the store did not answer one.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// status is the HTTP status of the answer, 0 if there was none.
func status(err error) int {
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

// opError says what was done to which key, what it came to, and what the store
// said, in one line.
type opError struct {
	op, key string
	domain  error
	sdk     error
}

func (e *opError) Error() string {
	said := code(e.sdk)
	if said == "" {
		said = http.StatusText(status(e.sdk))
	}
	if said == "" {
		said = e.sdk.Error()
	}
	return fmt.Sprintf("%s %s: %v (%s)", e.op, e.key, e.domain, said)
}

func (e *opError) Unwrap() []error { return []error{e.domain, e.sdk} }
