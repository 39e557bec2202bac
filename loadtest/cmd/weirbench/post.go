package main

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// posts are batches of n events, on keep-alive connections with one sender each.
func posts(n, connections int) *load {
	return &load{batch: n, senders: connections, request: batchBody, send: poster{path: "/v1/batch"}.send}
}

// postsGzip are the same, packed.
func postsGzip(n, connections int) *load {
	pack := func(events [][]byte) []byte { return packed(batchBody(events)) }
	return &load{batch: n, senders: connections, request: pack, send: poster{path: "/v1/batch", encoding: "gzip"}.send}
}

// calls are unary ones by Connect in protobuf, over HTTP/1.1 as its clients send them.
func calls(n, connections int) *load {
	p := poster{path: ingestv1connect.IngestServiceIngestProcedure, contentType: "application/proto"}
	return &load{batch: n, senders: connections, request: callBody, send: p.send}
}

func batchBody(events [][]byte) []byte {
	body := []byte(`{"sentAt":"2026-11-23T10:00:00.000Z","batch":[`)
	body = append(body, bytes.Join(events, []byte(","))...)
	return append(body, "]}"...)
}

func packed(body []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(body)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // memory takes everything
	}
	return out.Bytes()
}

func callBody(events [][]byte) []byte {
	body, err := proto.Marshal(&ingestv1.IngestRequest{Events: events})
	if err != nil {
		panic(err) // bytes are always encodable
	}
	return body
}

// poster posts bodies as they are.
type poster struct {
	path, contentType, encoding string // "" = the header is left out
}

func (s poster) send(ctx context.Context, addr string, requests [][]byte, p *pace) error {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for {
		number, ok := p.take(ctx)
		if !ok {
			return ctx.Err()
		}
		if err := s.post(ctx, client, addr, requests[number%int64(len(requests))]); err != nil {
			return err
		}
		p.done(number)
	}
}

func (s poster) post(ctx context.Context, client *http.Client, addr string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+s.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth(writeKey, "")
	if s.contentType != "" {
		r.Header.Set("Content-Type", s.contentType)
	}
	if s.encoding != "" {
		r.Header.Set("Content-Encoding", s.encoding)
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || len(answer) > len(success) { // a longer one lists what was rejected
		return unexpected(resp.Status + " " + string(answer))
	}
	return nil
}
