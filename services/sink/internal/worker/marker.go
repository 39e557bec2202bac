package worker

// StartedOffset reads a partition's `started` marker.
func StartedOffset(body []byte) (int64, error) { return decodeStarted(body) }
