package emr

import (
	"errors"
	"fmt"

	"weir/pkg/awsapi"
)

// What EMR may answer to a call, each with what can be done. Everything else is the SDK's
// error, wrapped.
var (
	ErrThrottled   = errors.New("throttled: it comes through when it is tried again in a minute")
	ErrUnavailable = errors.New("EMR is not available: try again")                                                                                            // internal error, no answer
	ErrInvalid     = errors.New("invalid request: trying again is of no use")                                                                                 //
	ErrNotFound    = errors.New("not found: look at the id, at AWS_REGION, and at the application or the cluster")                                            //
	ErrConflict    = errors.New("it was started before with other settings")                                                                                  // a token that is known, with another request
	ErrQuota       = errors.New("a quota of the account or the application's maximum capacity is used up: try again when other runs have ended, or raise it") //
	ErrDenied      = errors.New("access denied: trying again is of no use; deploy/iam says which rights are needed")                                          //
	ErrExpired     = errors.New("the AWS credentials have expired: sign in again, then run it once more")                                                     //
	ErrNoLogs      = errors.New("it has no place in S3 for its logs: start it with job-logs, or give the cluster one")                                        //
)

// domainErrors by the APIs' codes.
var domainErrors = map[string]error{
	"ThrottlingException":           ErrThrottled,
	"Throttling":                    ErrThrottled,
	"ThrottledException":            ErrThrottled,
	"TooManyRequestsException":      ErrThrottled,
	"RequestLimitExceeded":          ErrThrottled,
	"InternalServerException":       ErrUnavailable,
	"InternalServerError":           ErrUnavailable,
	"InternalFailure":               ErrUnavailable,
	"ServiceUnavailable":            ErrUnavailable,
	"ServiceUnavailableException":   ErrUnavailable,
	"ValidationException":           ErrInvalid,
	"ValidationError":               ErrInvalid,
	"InvalidRequestException":       ErrInvalid,
	"ResourceNotFoundException":     ErrNotFound,
	"ConflictException":             ErrConflict,
	"ServiceQuotaExceededException": ErrQuota,
	"AccessDeniedException":         ErrDenied,
	"AccessDenied":                  ErrDenied,
	"UnrecognizedClientException":   ErrDenied,
	"InvalidSignatureException":     ErrDenied,
	"ExpiredTokenException":         ErrExpired,
	"ExpiredToken":                  ErrExpired,
}

// wrap turns the SDK's error into a domain error, once.
func wrap(err error, format string, args ...any) error {
	return awsapi.Wrap(err, fmt.Sprintf(format, args...), func(code, _ string) error { return domainErrors[code] }, ErrUnavailable)
}
