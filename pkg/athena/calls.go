package athena

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsathena "github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
)

// Query is what a start asks for.
type Query struct {
	SQL       string
	Params    []string // SQL literals for its question marks, in their order
	Database  string
	Workgroup string
	Results   string        // s3://… for the answer; "" = where the workgroup says
	Reuse     time.Duration // age up to which an earlier answer may be given again; 0 = none
	Token     string        // of 32 to 128 characters: starts with the same one are one query
}

// State is how far a query is. It may go from Running back to Queued.
type State string

// The states.
const (
	Queued    State = "QUEUED"
	Running   State = "RUNNING"
	Succeeded State = "SUCCEEDED"
	Failed    State = "FAILED"
	Cancelled State = "CANCELLED"
)

// Execution is a query as Athena sees it.
type Execution struct {
	State     State
	Reason    string // why it failed, or was cancelled
	Retryable bool   // a failed one may come through when it is asked again
	Scanned   int64  // bytes read so far; of a reused answer 0
	Reused    bool   // the answer is an earlier query's
	Rows      bool   // the answer's first row holds the columns' names
}

// Column of an answer.
type Column struct{ Name, Type string } // type in Athena's words: "bigint", "varchar"

// Page is one piece of an answer. A value is nil or Athena's text of it.
type Page struct {
	Columns []Column
	Rows    [][]*string
	Next    string // asks for the next page; "" = this is the last
}

// Start begins a query, or finds the one that began with the same token, and gives
// its id. It is sent once: the SDK's own repeats would hide that one whose answer was
// lost took effect. ErrThrottled says that it did not, ErrUnavailable says nothing.
func (c *Client) Start(ctx context.Context, q Query) (id string, err error) {
	in := &awsathena.StartQueryExecutionInput{
		QueryString:           aws.String(q.SQL),
		ExecutionParameters:   q.Params,
		ClientRequestToken:    aws.String(q.Token),
		QueryExecutionContext: &types.QueryExecutionContext{Database: aws.String(q.Database)},
		WorkGroup:             aws.String(q.Workgroup),
	}
	if q.Results != "" {
		in.ResultConfiguration = &types.ResultConfiguration{OutputLocation: aws.String(q.Results)}
	}
	if q.Reuse > 0 {
		in.ResultReuseConfiguration = &types.ResultReuseConfiguration{ResultReuseByAgeConfiguration: &types.ResultReuseByAgeConfiguration{
			Enabled: true, MaxAgeInMinutes: aws.Int32(int32(q.Reuse.Minutes())),
		}}
	}
	out, err := c.client.StartQueryExecution(ctx, in, func(o *awsathena.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", wrap(err, "start a query in workgroup %s", q.Workgroup)
	}
	return aws.ToString(out.QueryExecutionId), nil
}

// Look asks how far a query is.
func (c *Client) Look(ctx context.Context, id string) (Execution, error) {
	out, err := c.client.GetQueryExecution(ctx, &awsathena.GetQueryExecutionInput{QueryExecutionId: aws.String(id)})
	if err != nil {
		return Execution{}, wrap(err, "look at query %s", id)
	}
	return executionOf(out.QueryExecution), nil
}

func executionOf(q *types.QueryExecution) Execution {
	if q == nil {
		return Execution{}
	}
	e := Execution{Rows: q.StatementType == types.StatementTypeDml}
	if s := q.Status; s != nil {
		e.State, e.Reason = State(s.State), aws.ToString(s.StateChangeReason)
		if s.AthenaError != nil {
			e.Retryable = s.AthenaError.Retryable
			if e.Reason == "" {
				e.Reason = aws.ToString(s.AthenaError.ErrorMessage)
			}
		}
	}
	if s := q.Statistics; s != nil {
		e.Scanned = aws.ToInt64(s.DataScannedInBytes)
		e.Reused = s.ResultReuseInformation != nil && s.ResultReuseInformation.ReusedPreviousResult
	}
	return e
}

// Page reads a piece of a succeeded query's answer; next is "" for the first.
func (c *Client) Page(ctx context.Context, id, next string) (Page, error) {
	in := &awsathena.GetQueryResultsInput{QueryExecutionId: aws.String(id), MaxResults: aws.Int32(MaxPage)}
	if next != "" {
		in.NextToken = aws.String(next)
	}
	out, err := c.client.GetQueryResults(ctx, in)
	if err != nil {
		return Page{}, wrap(err, "read the answer of query %s", id)
	}
	return pageOf(out), nil
}

func pageOf(out *awsathena.GetQueryResultsOutput) Page {
	p := Page{Next: aws.ToString(out.NextToken)}
	set := out.ResultSet
	if set == nil {
		return p
	}
	if set.ResultSetMetadata != nil {
		for _, c := range set.ResultSetMetadata.ColumnInfo {
			p.Columns = append(p.Columns, Column{Name: aws.ToString(c.Name), Type: aws.ToString(c.Type)})
		}
	}
	for _, r := range set.Rows {
		row := make([]*string, len(r.Data))
		for i, d := range r.Data {
			row[i] = d.VarCharValue
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

// Stop cancels a query. One that has ended stays as it is.
func (c *Client) Stop(ctx context.Context, id string) error {
	_, err := c.client.StopQueryExecution(ctx, &awsathena.StopQueryExecutionInput{QueryExecutionId: aws.String(id)})
	return wrap(err, "cancel query %s", id)
}
