package main

import (
	"context"
	"fmt"

	"weir/pkg/glue"
	"weir/pkg/s3"
	"weir/services/dev"
)

// lakeFaults says what of the AWS SDK's own settings keeps a command from the lake:
// no region, a profile that does not exist. Opening a store sends nothing.
func lakeFaults() []error {
	if _, err := s3.Open(context.Background(), s3.Config{}, nil); err != nil {
		return []error{err}
	}
	return nil
}

func (c *recoverCommand) Validate() []error {
	return append(c.RecoverConfig.Validate(), lakeFaults()...)
}

func (c *tablesCommand) Validate() []error     { return c.glueFaults() }
func (c *partitionsCommand) Validate() []error { return c.glueFaults() }

// glueFaults is lakeFaults for a command that asks Glue only.
func (d devDir) glueFaults() []error {
	if d.Dir != "" {
		return nil
	}
	_, err := glue.Open(context.Background(), glue.Config{}, nil)
	if err == nil {
		return nil
	}
	if _, none := dev.ReadAddresses(devHere); none == nil {
		err = fmt.Errorf("%w; the weir dev that runs here is asked with --dir %s", err, devHere)
	}
	return []error{err}
}
