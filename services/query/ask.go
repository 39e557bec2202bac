package query

import (
	"context"
	"fmt"
	"strings"

	api "weir/pkg/athena"
	"weir/services/query/athena"
	"weir/services/query/price"
	"weir/services/query/rows"
)

// ask has Athena answer.
func (l *Lake) ask(ctx context.Context, p *Plan, sink rows.Sink, result *Result) error {
	q := athena.Request{
		Query: api.Query{
			SQL: p.question.SQL, Params: literals(p.question.Params), Database: l.cfg.Database,
			Workgroup: l.cfg.Workgroup, Results: l.cfg.Results, Reuse: l.cfg.Reuse,
		},
		MaxRows: l.cfg.MaxRows,
		Timeout: fmt.Sprintf("query-timeout (%s) is over", l.cfg.Timeout),
	}
	if p.question.To != "" {
		q.SQL, q.Unload = unload(p.question.SQL, p.question.To), true
	}
	if len(q.SQL) > api.MaxQuery {
		return fmt.Errorf("the query has %d bytes, Athena takes %d", len(q.SQL), api.MaxQuery)
	}
	out, err := athena.Run(ctx, l.athena, q, sink)
	result.ID, result.Scanned, result.Reused, result.Count = out.ID, out.Scanned, out.Reused, out.Rows
	return p.failure(err)
}

// unload has Athena write a query's answer as Parquet files into an empty folder.
func unload(query, folder string) string {
	return "UNLOAD (" + strings.TrimRight(strings.TrimSpace(query), ";") + "\n) TO " + literal(strings.TrimSuffix(folder, "/")+"/") +
		" WITH (format = 'PARQUET', compression = 'ZSTD')"
}

// Cost is a line on what Athena bills for a result.
func (l *Lake) Cost(r *Result) string {
	if r.Reused {
		return "scanned nothing, $0: an earlier answer was given again, query " + r.ID
	}
	return fmt.Sprintf("scanned %s, %s, query %s", price.Size(r.Scanned), price.Text(price.Dollars(r.Scanned, l.cfg.PerTB)), r.ID)
}
