package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

const success = `{"success":true}`

// serve answers posts by handle until the load is through.
func serve(c child, handle func(*http.Request) error) (int64, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/batch", func(w http.ResponseWriter, r *http.Request) {
		if err := handle(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, success)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	fmt.Println(listener.Addr())
	if err := c.meter.start(); err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return 0, err
}

// runFloor is net/http alone: it reads the body and answers.
func runFloor(_ context.Context, c child) (int64, error) {
	return serve(c, func(r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	})
}

// runNaiveGateway is the usual way: ServeMux, encoding/json maps, re-marshalling, franz-go as the gateway sets it.
func runNaiveGateway(ctx context.Context, c child) (int64, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.broker), kgo.DefaultProduceTopic(gatewayTopic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerLinger(2*time.Millisecond), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if err := createGatewayTopic(ctx, cl); err != nil {
		return 0, err
	}
	return serve(c, func(r *http.Request) error { return naiveBatch(r, cl) })
}

func naiveBatch(r *http.Request, cl *kgo.Client) error {
	var body struct {
		SentAt string           `json:"sentAt"`
		Batch  []map[string]any `json:"batch"`
	}
	if user, _, ok := r.BasicAuth(); !ok || user != writeKey {
		return errors.New("unknown write key")
	}
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = z
	}
	if err := json.NewDecoder(in).Decode(&body); err != nil {
		return err
	}
	now := time.Now().UTC()
	records := make([]*kgo.Record, 0, len(body.Batch))
	for _, event := range body.Batch {
		if event["messageId"] == nil {
			event["messageId"] = uuid.NewString()
		}
		event["receivedAt"] = now.Format(time.RFC3339Nano)
		event["originalTimestamp"] = event["timestamp"]
		if sent, original := clock(body.SentAt), clock(event["timestamp"]); !sent.IsZero() && !original.IsZero() {
			event["timestamp"] = now.Add(original.Sub(sent)).Format(time.RFC3339Nano)
		}
		value, err := json.Marshal(event)
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Key: []byte("source1"), Value: value})
	}
	return cl.ProduceSync(context.WithoutCancel(r.Context()), records...).FirstErr()
}
