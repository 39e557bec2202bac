package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"weir/services/weir/internal/invoke"
	"weir/services/weir/internal/sse"
)

const (
	quiet      = 30 * time.Second // after which a stream counts as dead: a gateway gives a sign every ten
	firstPause = 250 * time.Millisecond
	lastPause  = 10 * time.Second
)

// watching follows the live tail of one gateway.
type watching struct {
	addr     string
	query    string
	client   *http.Client
	arrivals chan<- arrival
	last     string // the id of the newest event
	streamed bool   // it has answered as a live tail does
}

// follow reads until ctx ends. A gateway that has never answered well is an error; one that has is tried again.
func (w *watching) follow(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		before := w.last
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !w.streamed || errors.Is(err, invoke.ErrUsage) {
			return err
		}
		if w.last != before {
			pause = firstPause
		}
		w.tell(ctx, arrival{note: fmt.Sprintf("%s; trying again", err)})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// stream reads one stream to its end, which is an error.
func (w *watching) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(quiet, cancel)
	defer silent.Stop()
	resp, err := w.ask(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	w.streamed = true
	in := sse.NewReader(signs{resp.Body, silent})
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("the gateway has ended the stream")
		}
		if err != nil {
			return err
		}
		if e.ID != "" {
			w.last = e.ID
		}
		w.tell(ctx, arrival{event: e})
	}
}

func (w *watching) tell(ctx context.Context, a arrival) {
	a.from = w.addr
	select {
	case w.arrivals <- a:
	case <-ctx.Done():
	}
}

func (w *watching) ask(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/tail?"+w.query, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: admin %q: %w", invoke.ErrUsage, w.addr, err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if w.last != "" {
		req.Header.Set("Last-Event-ID", w.last)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("watch a gateway at its admin address: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	_ = resp.Body.Close()
	says := strings.TrimSpace(string(text))
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return nil, fmt.Errorf("%w: %s", invoke.ErrUsage, says)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s is not the admin address of a gateway that runs", w.addr)
	}
	return nil, fmt.Errorf("%s answers %s: %s", w.addr, resp.Status, says)
}

// signs notes every sign of life.
type signs struct {
	io.Reader
	silent *time.Timer
}

func (s signs) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if n > 0 {
		s.silent.Reset(quiet)
	}
	return n, err
}
