package verify

import (
	"context"
	"errors"

	"weir/pkg/lake"
	"weir/pkg/promote/stored"
	"weir/services/verify/internal/account"
)

// columns finds a registry of promoted columns that does not know what files were written with. No row is missing then:
// what columns are added from now on could mean something else than in those files.
func (v *verifier) columns(ctx context.Context) error {
	v.cfg.Progress("reading the registry of columns")
	known, used, err := stored.Look(ctx, v.store)
	if err != nil && !errors.Is(err, stored.ErrUnusable) {
		return err
	}
	if err == nil {
		err = used.Lost(known)
	}
	if err != nil {
		v.report.Findings = append(v.report.Findings, account.Finding{
			Kind: account.Columns, Topic: v.topic.Name, Partition: -1, Table: lake.EventLogsName, Key: lake.ColumnsKey(lake.EventLogsName), Detail: err.Error(),
		})
	}
	return nil
}
