package s3

import (
	"errors"
	"net/http"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"
)

// Only the store says that a key or an upload is not there: a 404 without a code comes from whatever stands before it.
func TestABare404IsNotTheStores(t *testing.T) {
	answered := func(err error) error {
		return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusNotFound}}, Err: err,
		}}
	}
	bare := wrap(answered(errors.New("default backend - 404")), "upload part 1 of", "k", ErrExists)
	require.NotErrorIs(t, bare, ErrNotFound)
	require.NotErrorIs(t, bare, ErrNoSuchUpload)
	said := wrap(answered(&smithy.GenericAPIError{Code: "NoSuchUpload"}), "upload part 1 of", "k", ErrExists)
	require.ErrorIs(t, said, ErrNoSuchUpload)
}
