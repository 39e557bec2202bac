package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// idleClient gives up an attempt on which no byte moved for some time, in
// either direction, and lets the retryer start another. A bound on the whole
// attempt would cut large parts on slow ways. Time that the reader of a body
// spends elsewhere does not count.
type idleClient struct {
	client interface {
		Do(*http.Request) (*http.Response, error)
	}
	idle time.Duration
}

func newIdleClient(idle time.Duration, transport http.RoundTripper) idleClient {
	if transport != nil {
		return idleClient{idle: idle, client: &http.Client{Transport: transport}}
	}
	return idleClient{
		idle: idle,
		client: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = 64
		}).WithDialerOptions(func(d *net.Dialer) {
			d.Timeout = min(d.Timeout, idle)
		}),
	}
}

// idleError is a timeout to the SDK, and so worth another attempt.
type idleError struct{ after time.Duration }

func (e idleError) Error() string { return "no byte moved for " + e.after.String() }
func (idleError) Timeout() bool   { return true }
func (idleError) Temporary() bool { return true }

// Do sends one attempt.
func (c idleClient) Do(req *http.Request) (*http.Response, error) {
	w := newWatch(req.Context(), c.idle)
	req = req.WithContext(w.ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sentBody{ReadCloser: req.Body, watch: w}
	}
	w.timer.Reset(w.idle)
	resp, err := c.client.Do(req)
	w.timer.Stop()
	if err != nil {
		err = w.explain(err)
		w.end()
		return resp, err
	}
	resp.Body = &receivedBody{ReadCloser: resp.Body, watch: w}
	return resp, nil
}

// watch ends an attempt that stands still.
type watch struct {
	idle   time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func newWatch(parent context.Context, idle time.Duration) *watch {
	w := &watch{idle: idle}
	w.ctx, w.cancel = context.WithCancelCause(parent)
	w.timer = time.AfterFunc(idle, func() { w.cancel(idleError{idle}) })
	return w
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain puts the reason in the place of the cancellation that it caused.
func (w *watch) explain(err error) error {
	var idle idleError
	if errors.As(context.Cause(w.ctx), &idle) {
		return idle
	}
	return err
}

// sentBody is read by the transport when it has sent what it read before.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.idle)
	return b.ReadCloser.Read(p)
}

// receivedBody is watched while somebody waits for it.
type receivedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.idle)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.explain(err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.end()
	return err
}
