//go:build duckdb

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"weir/loadtest/chaos/record"
)

// readGlue asks which lake partitions Glue shows, as paths under the lake. It speaks Glue's JSON without a client.
func readGlue(ctx context.Context, run record.Run) (map[string]bool, error) {
	if run.GlueURL == "" {
		return nil, nil
	}
	found := map[string]bool{}
	for _, table := range []string{"eventlogs", "eventlogs_raw"} {
		token := ""
		for {
			ask := map[string]any{"DatabaseName": run.Database, "TableName": table}
			if token != "" {
				ask["NextToken"] = token
			}
			var answer struct {
				Partitions []struct{ StorageDescriptor struct{ Location string } }
				NextToken  string
			}
			if err := callGlue(ctx, run.GlueURL, "GetPartitions", ask, &answer); err != nil {
				return nil, err
			}
			for _, p := range answer.Partitions {
				found[lakePartition(p.StorageDescriptor.Location, run.LakeURL)] = true
			}
			if token = answer.NextToken; token == "" {
				break
			}
		}
	}
	return found, nil
}

func callGlue(ctx context.Context, url, op string, ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return fmt.Errorf("encode %s: %w", op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSGlue."+op)
	// Emulators do not check the signature; moto reads from it which service is meant.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=audit/20260101/us-east-1/glue/aws4_request, SignedHeaders=host, Signature=none")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Glue for %s: %w", op, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Glue for %s: %s", op, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("read Glue's answer to %s: %w", op, err)
	}
	return nil
}
