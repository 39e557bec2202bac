package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/s3"
)

// An upload that lost a part while it was filled is not completed from what is left, even by a store that would.
func TestAPartialUploadIsLost(t *testing.T) {
	f := &flush.File{Key: "k", UploadID: "u", Bytes: 3, Parts: []flush.Part{{Number: 2, Bytes: 2}}}
	require.ErrorIs(t, new(Worker).completeWhole(t.Context(), f), s3.ErrNoSuchUpload)
}
