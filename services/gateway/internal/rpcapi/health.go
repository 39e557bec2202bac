package rpcapi

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// checker answers gRPC's health check.
type checker struct{ serving func() bool }

func (c checker) Check(_ context.Context, r *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if r.Service != "" && r.Service != ingestv1connect.IngestServiceName {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("there is no service "+r.Service))
	}
	if !c.serving() {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}
