//go:build !duckdb || !cgo

package query

import (
	"context"

	"weir/services/query/rows"
)

// engine is absent from this binary.
type engine struct{}

func available() error { return ErrNoEngine }

func openEngine(context.Context, ...string) (*engine, error) { return nil, ErrNoEngine }

func (*engine) exec(context.Context, ...string) error { return ErrNoEngine }

func (*engine) numbers(context.Context, string) ([]int64, error) { return nil, ErrNoEngine }

func (*engine) explain(context.Context, string) (string, bool, error) { return "", false, ErrNoEngine }

func (*engine) serialize(context.Context, string) (string, error) { return "", ErrNoEngine }

func (*engine) run(context.Context, string, int, rows.Sink) (int, error) { return 0, ErrNoEngine }

func (*engine) copyTo(context.Context, string, string) (int, error) { return 0, ErrNoEngine }

func (*engine) close() error { return nil }
