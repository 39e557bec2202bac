package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// streams are IngestStreams of messages of n events, on a connection each. A stream has as many messages on their way as
// the gateway reads.
func streams(n, connections int, protocol ...connect.ClientOption) *load {
	return &load{batch: n, senders: connections, request: callBody, send: streamer{protocol}.send}
}

type streamer struct{ protocol []connect.ClientOption }

type ingestStream = connect.BidiStreamForClient[ingestv1.IngestStreamRequest, ingestv1.IngestStreamResponse]

func (s streamer) send(ctx context.Context, addr string, requests [][]byte, p *pace) error {
	messages := make([]*ingestv1.IngestRequest, len(requests))
	for i, r := range requests {
		messages[i] = new(ingestv1.IngestRequest)
		if err := proto.Unmarshal(r, messages[i]); err != nil {
			return err
		}
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	stream := ingestv1connect.NewIngestServiceClient(&http.Client{Transport: transport}, "http://"+addr, s.protocol...).IngestStream(ctx)
	stream.RequestHeader().Set("Authorization", "Bearer "+writeKey)
	var sent, answered int
	group.Go(func() (err error) { sent, err = sendAll(ctx, stream, messages, p); return err })
	group.Go(func() (err error) { answered, err = receiveAll(stream, p); return err })
	if err := group.Wait(); err != nil {
		return err
	}
	if answered != sent {
		return fmt.Errorf("a stream answered %d of %d messages", answered, sent)
	}
	return nil
}

// sendAll sends what the pace gives it. Where the stream has ended, its receiver knows why.
func sendAll(ctx context.Context, stream *ingestStream, messages []*ingestv1.IngestRequest, p *pace) (sent int, err error) {
	for {
		number, ok := p.take(ctx)
		if !ok {
			return sent, errors.Join(ctx.Err(), stream.CloseRequest())
		}
		m := &ingestv1.IngestStreamRequest{Number: uint64(number) + 1, Request: messages[number%int64(len(messages))]}
		if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return sent, err
		} else if err != nil {
			return sent, nil
		}
		sent++
	}
}

func receiveAll(stream *ingestStream, p *pace) (answered int, err error) {
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return answered, stream.CloseResponse()
		}
		if err != nil {
			return answered, err
		}
		if len(m.GetResponse().GetRejected()) > 0 {
			return answered, unexpected(m)
		}
		p.done(int64(m.GetNumber()) - 1)
		answered++
	}
}
