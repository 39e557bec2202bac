package worker

import (
	"encoding/json"
	"fmt"
)

// started is the content of a partition's `started` marker.
type started struct {
	Format int    `json:"format"`
	Offset *int64 `json:"offset"`
}

func encodeStarted(offset int64) []byte {
	return fmt.Appendf(nil, "{\"format\":1,\"offset\":%d}\n", offset)
}

func decodeStarted(body []byte) (int64, error) {
	var s started
	if err := json.Unmarshal(body, &s); err != nil {
		return 0, err
	}
	if s.Format != 1 || s.Offset == nil || *s.Offset < 0 {
		return 0, fmt.Errorf("%q is no marker of format 1", body)
	}
	return *s.Offset, nil
}
