package emr

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/emrserverless"
	"github.com/aws/aws-sdk-go-v2/service/emrserverless/types"
)

// Application is one of EMR Serverless; its runs are job runs.
type Application struct {
	client *emrserverless.Client
	id     string
}

// OpenApplication makes a client of an application; it sends nothing.
func OpenApplication(ctx context.Context, cfg Config, id string) (*Application, error) {
	loaded, err := cfg.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &Application{id: id, client: emrserverless.NewFromConfig(loaded, func(o *emrserverless.Options) {
		o.BaseEndpoint = cfg.BaseEndpoint(o.BaseEndpoint)
	})}, nil
}

// Start begins a run, or finds the one that began with the same token, and gives its
// id. It is sent once. ErrThrottled says that nothing began, ErrUnavailable says
// nothing, ErrConflict that the token began something else.
func (a *Application) Start(ctx context.Context, j Job) (id string, err error) {
	spark := &types.SparkSubmit{EntryPoint: aws.String(j.Script), EntryPointArguments: j.Args}
	if args := j.sparkArgs(); len(args) > 0 {
		spark.SparkSubmitParameters = aws.String(strings.Join(args, " "))
	}
	in := &emrserverless.StartJobRunInput{
		ApplicationId:    aws.String(a.id),
		ClientToken:      aws.String(j.Token),
		ExecutionRoleArn: aws.String(j.Role),
		Name:             aws.String(j.Name),
		JobDriver:        &types.JobDriverMemberSparkSubmit{Value: *spark},
	}
	if j.Logs != "" {
		in.ConfigurationOverrides = &types.ConfigurationOverrides{MonitoringConfiguration: &types.MonitoringConfiguration{
			S3MonitoringConfiguration: &types.S3MonitoringConfiguration{LogUri: aws.String(folder(j.Logs))},
		}}
	}
	if j.Timeout > 0 {
		in.ExecutionTimeoutMinutes = aws.Int64(int64(j.Timeout.Minutes()))
	}
	out, err := a.client.StartJobRun(ctx, in, func(o *emrserverless.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", wrap(err, "start %s in application %s", j.Name, a.id)
	}
	return aws.ToString(out.JobRunId), nil
}

// Look asks how far a run is.
func (a *Application) Look(ctx context.Context, id string) (Run, error) {
	r, err := a.get(ctx, id)
	if err != nil {
		return Run{}, err
	}
	run := Run{
		ID: aws.ToString(r.JobRunId), Name: aws.ToString(r.Name),
		State: jobRunState(r.State), Said: string(r.State), Reason: aws.ToString(r.StateDetails),
		Created: aws.ToTime(r.CreatedAt), Ended: aws.ToTime(r.EndedAt),
	}
	if run.State.Over() && run.Ended.IsZero() {
		run.Ended = aws.ToTime(r.UpdatedAt) // of a run that never began
	}
	return run, nil
}

func (a *Application) get(ctx context.Context, id string) (*types.JobRun, error) {
	out, err := a.client.GetJobRun(ctx, &emrserverless.GetJobRunInput{ApplicationId: aws.String(a.id), JobRunId: aws.String(id)})
	if err != nil {
		return nil, wrap(err, "look at run %s of application %s", id, a.id)
	}
	if out.JobRun == nil {
		return nil, fmt.Errorf("look at run %s of application %s: %w (an answer without a run)", id, a.id, ErrUnavailable)
	}
	return out.JobRun, nil
}

func jobRunState(s types.JobRunState) State {
	switch s {
	case types.JobRunStateRunning, types.JobRunStateCancelling:
		return Running
	case types.JobRunStateSuccess:
		return Succeeded
	case types.JobRunStateFailed:
		return Failed
	case types.JobRunStateCancelled:
		return Cancelled
	}
	return Waiting // submitted, queued, pending, scheduled
}

// List gives a page of the application's runs; next is "" for the first.
func (a *Application) List(ctx context.Context, next string) (Page, error) {
	in := &emrserverless.ListJobRunsInput{ApplicationId: aws.String(a.id), MaxResults: aws.Int32(50)}
	if next != "" {
		in.NextToken = aws.String(next)
	}
	out, err := a.client.ListJobRuns(ctx, in)
	if err != nil {
		return Page{}, wrap(err, "list the runs of application %s", a.id)
	}
	p := Page{Next: aws.ToString(out.NextToken)}
	for _, r := range out.JobRuns {
		p.Runs = append(p.Runs, Run{
			ID: aws.ToString(r.Id), Name: aws.ToString(r.Name),
			State: jobRunState(r.State), Said: string(r.State), Reason: aws.ToString(r.StateDetails), Created: aws.ToTime(r.CreatedAt),
		})
	}
	return p, nil
}

// Cancel ends a run. One that is over stays as it is, which EMR may call invalid.
func (a *Application) Cancel(ctx context.Context, id string) error {
	_, err := a.client.CancelJobRun(ctx, &emrserverless.CancelJobRunInput{ApplicationId: aws.String(a.id), JobRunId: aws.String(id)})
	return wrap(err, "cancel run %s of application %s", id, a.id)
}

// Logs is the folder in S3 where the driver's output is; ErrNoLogs where the run was
// started without one.
func (a *Application) Logs(ctx context.Context, id string) (string, error) {
	r, err := a.get(ctx, id)
	if err != nil {
		return "", err
	}
	if o := r.ConfigurationOverrides; o != nil && o.MonitoringConfiguration != nil {
		if s := o.MonitoringConfiguration.S3MonitoringConfiguration; s != nil && s.LogUri != nil {
			return folder(*s.LogUri) + "applications/" + a.id + "/jobs/" + id + "/SPARK_DRIVER/", nil
		}
	}
	return "", fmt.Errorf("find the logs of run %s: %w", id, ErrNoLogs)
}
