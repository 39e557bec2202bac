package athena

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What Athena may answer to a call. Everything else is the SDK's error, wrapped.
var (
	ErrThrottled   = errors.New("throttled")                                                              //
	ErrUnavailable = errors.New("Athena is not available")                                                // internal error, no answer: try again
	ErrInvalid     = errors.New("invalid request")                                                        // trying again is of no use
	ErrDenied      = errors.New("access denied")                                                          //
	ErrExpired     = errors.New("the AWS credentials have expired: sign in again, then run it once more") // the query itself goes on
)

// domainErrors by the API's code.
var domainErrors = map[string]error{
	"ThrottlingException":         ErrThrottled,
	"Throttling":                  ErrThrottled,
	"ThrottledException":          ErrThrottled,
	"TooManyRequestsException":    ErrThrottled,
	"RequestLimitExceeded":        ErrThrottled,
	"SlowDown":                    ErrThrottled,
	"InternalServerException":     ErrUnavailable,
	"InternalFailure":             ErrUnavailable,
	"ServiceUnavailable":          ErrUnavailable,
	"ServiceUnavailableException": ErrUnavailable,
	"InvalidRequestException":     ErrInvalid,
	"ValidationException":         ErrInvalid,
	"MetadataException":           ErrInvalid,
	"ResourceNotFoundException":   ErrInvalid,
	"AccessDeniedException":       ErrDenied,
	"UnrecognizedClientException": ErrDenied,
	"InvalidSignatureException":   ErrDenied,
	"ExpiredTokenException":       ErrExpired,
	"ExpiredToken":                ErrExpired,
}

// wrap turns the SDK's error into a domain error, once.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var api smithy.APIError
	var resp *awshttp.ResponseError
	var send *smithyhttp.RequestSendError
	var read *smithy.DeserializationError
	switch {
	case errors.As(err, &api) && domainErrors[api.ErrorCode()] != nil:
		return &opError{what: what, domain: domainErrors[api.ErrorCode()], code: api.ErrorCode(), said: api.ErrorMessage(), sdk: err}
	case errors.As(err, &resp) && resp.HTTPStatusCode() >= http.StatusInternalServerError:
		return &opError{what: what, domain: ErrUnavailable, code: resp.Response.Status, said: err.Error(), sdk: err}
	case errors.As(err, &send), errors.As(err, &read): // no answer, or half of one
		return &opError{what: what, domain: ErrUnavailable, code: "no answer", said: err.Error(), sdk: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// opError says what was tried, what it came to and what Athena said.
type opError struct {
	what   string
	domain error
	code   string
	said   string
	sdk    error
}

func (e *opError) Error() string {
	return fmt.Sprintf("%s: %v (%s: %s)", e.what, e.domain, e.code, e.said)
}

func (e *opError) Unwrap() []error { return []error{e.domain, e.sdk} }
