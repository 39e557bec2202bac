package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Connections of the load: enough that a batch's linger does not leave the core idle.
const (
	batchConnections  = 16
	singleConnections = 64
)

// drive posts the corpus in batches of n events over keep-alive connections; every answer must be 200.
func drive(n int) func(ctx context.Context, addr string, corpus [][]byte, events int) error {
	return func(ctx context.Context, addr string, corpus [][]byte, events int) error {
		connections := batchConnections
		if n == 1 {
			connections = singleConnections
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
		defer client.CloseIdleConnections()
		var next atomic.Int64
		group, ctx := errgroup.WithContext(ctx)
		for range connections {
			group.Go(func() error {
				for {
					from := int(next.Add(int64(n))) - n
					if from >= events {
						return nil
					}
					if err := post(ctx, client, addr, corpus[from:min(from+n, events)]); err != nil {
						return err
					}
				}
			})
		}
		return group.Wait()
	}
}

func post(ctx context.Context, client *http.Client, addr string, events [][]byte) error {
	var body bytes.Buffer
	body.WriteString(`{"sentAt":"2026-11-23T10:00:00.000Z","batch":[`)
	body.Write(bytes.Join(events, []byte(",")))
	body.WriteString("]}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/batch", &body)
	if err != nil {
		return err
	}
	req.SetBasicAuth(writeKey, "")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answered %s", resp.Status)
	}
	return nil
}
