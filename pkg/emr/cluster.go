package emr

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsemr "github.com/aws/aws-sdk-go-v2/service/emr"
	"github.com/aws/aws-sdk-go-v2/service/emr/types"
)

// Cluster is one of EMR on EC2; its runs are steps.
type Cluster struct {
	client *awsemr.Client
	id     string
}

// OpenCluster makes a client of a cluster; it sends nothing.
func OpenCluster(ctx context.Context, cfg Config, id string) (*Cluster, error) {
	loaded, err := cfg.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &Cluster{id: id, client: awsemr.NewFromConfig(loaded, func(o *awsemr.Options) {
		o.BaseEndpoint = cfg.BaseEndpoint(o.BaseEndpoint)
	})}, nil
}

// Start adds a step and gives its id. It is sent once; a second one is a second step,
// for EMR has no token here. ErrThrottled says that nothing was added, ErrUnavailable
// says nothing. A step that fails leaves the cluster and the other steps alone.
func (c *Cluster) Start(ctx context.Context, j Job) (id string, err error) {
	// The driver runs beside the step, so that its exit code is the step's end and its output stands in the step's logs.
	args := append([]string{"spark-submit", "--deploy-mode", "client"}, j.sparkArgs()...)
	in := &awsemr.AddJobFlowStepsInput{
		JobFlowId: aws.String(c.id),
		Steps: []types.StepConfig{{
			Name:            aws.String(j.Name),
			ActionOnFailure: types.ActionOnFailureContinue,
			HadoopJarStep:   &types.HadoopJarStepConfig{Jar: aws.String("command-runner.jar"), Args: append(append(args, j.Script), j.Args...)},
		}},
	}
	if j.Role != "" {
		in.ExecutionRoleArn = aws.String(j.Role)
	}
	out, err := c.client.AddJobFlowSteps(ctx, in, func(o *awsemr.Options) { o.Retryer = aws.NopRetryer{} })
	if err != nil {
		return "", wrap(err, "add step %s to cluster %s", j.Name, c.id)
	}
	if len(out.StepIds) != 1 {
		return "", fmt.Errorf("add step %s to cluster %s: %w (an answer with %d ids)", j.Name, c.id, ErrUnavailable, len(out.StepIds))
	}
	return out.StepIds[0], nil
}

// Look asks how far a step is.
func (c *Cluster) Look(ctx context.Context, id string) (Run, error) {
	s, err := c.describe(ctx, id)
	if err != nil {
		return Run{}, err
	}
	return stepRun(s.Id, s.Name, s.Status), nil
}

func (c *Cluster) describe(ctx context.Context, id string) (*types.Step, error) {
	out, err := c.client.DescribeStep(ctx, &awsemr.DescribeStepInput{ClusterId: aws.String(c.id), StepId: aws.String(id)})
	if err != nil {
		return nil, wrap(err, "look at step %s of cluster %s", id, c.id)
	}
	if out.Step == nil {
		return nil, fmt.Errorf("look at step %s of cluster %s: %w (an answer without a step)", id, c.id, ErrUnavailable)
	}
	return out.Step, nil
}

func stepRun(id, name *string, status *types.StepStatus) Run {
	r := Run{ID: aws.ToString(id), Name: aws.ToString(name), State: Waiting}
	if status == nil {
		return r
	}
	r.State, r.Said = stepState(status.State), string(status.State)
	if why := status.StateChangeReason; why != nil {
		r.Reason = aws.ToString(why.Message)
	}
	if f := status.FailureDetails; f != nil {
		for _, text := range []*string{f.Message, f.Reason} {
			if aws.ToString(text) != "" {
				r.Reason = *text
				break
			}
		}
	}
	if t := status.Timeline; t != nil {
		r.Created, r.Ended = aws.ToTime(t.CreationDateTime), aws.ToTime(t.EndDateTime)
	}
	return r
}

func stepState(s types.StepState) State {
	switch s {
	case types.StepStateRunning, types.StepStateCancelPending:
		return Running
	case types.StepStateCompleted:
		return Succeeded
	case types.StepStateFailed, types.StepStateInterrupted: // interrupted: the cluster ended
		return Failed
	case types.StepStateCancelled:
		return Cancelled
	}
	return Waiting
}

// List gives a page of the cluster's steps; next is "" for the first.
func (c *Cluster) List(ctx context.Context, next string) (Page, error) {
	in := &awsemr.ListStepsInput{ClusterId: aws.String(c.id)}
	if next != "" {
		in.Marker = aws.String(next)
	}
	out, err := c.client.ListSteps(ctx, in)
	if err != nil {
		return Page{}, wrap(err, "list the steps of cluster %s", c.id)
	}
	p := Page{Next: aws.ToString(out.Marker)}
	for _, s := range out.Steps {
		p.Runs = append(p.Runs, stepRun(s.Id, s.Name, s.Status))
	}
	return p, nil
}

// Cancel ends a step; one that runs is interrupted. One that is over stays as it is,
// which EMR calls invalid.
func (c *Cluster) Cancel(ctx context.Context, id string) error {
	out, err := c.client.CancelSteps(ctx, &awsemr.CancelStepsInput{
		ClusterId: aws.String(c.id), StepIds: []string{id}, StepCancellationOption: types.StepCancellationOptionSendInterrupt,
	})
	if err != nil {
		return wrap(err, "cancel step %s of cluster %s", id, c.id)
	}
	for _, s := range out.CancelStepsInfoList {
		if s.Status == types.CancelStepsRequestStatusFailed {
			return fmt.Errorf("cancel step %s of cluster %s: %w (%s)", id, c.id, ErrInvalid, aws.ToString(s.Reason))
		}
	}
	return nil
}

// Logs is the folder in S3 where the step's output is; ErrNoLogs where neither the step
// nor the cluster has one.
func (c *Cluster) Logs(ctx context.Context, id string) (string, error) {
	s, err := c.describe(ctx, id)
	if err != nil {
		return "", err
	}
	uri := aws.ToString(s.LogUri)
	if uri == "" {
		out, err := c.client.DescribeCluster(ctx, &awsemr.DescribeClusterInput{ClusterId: aws.String(c.id)})
		if err != nil {
			return "", wrap(err, "look at cluster %s", c.id)
		}
		if out.Cluster != nil {
			uri = aws.ToString(out.Cluster.LogUri)
		}
	}
	if uri = folder(uri); uri == "" {
		return "", fmt.Errorf("find the logs of step %s: %w", id, ErrNoLogs)
	}
	return uri + c.id + "/steps/" + id + "/", nil
}
