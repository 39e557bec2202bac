package emrtest

import (
	"encoding/json"
	"reflect"
)

func (s *Server) startJobRun(body []byte) (answer any, code, said string) {
	var in Start
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, "ValidationException", err.Error()
	}
	if in.ClientToken == "" || len(in.ClientToken) > 64 || in.ExecutionRoleArn == "" {
		return nil, "ValidationException", "ClientToken or ExecutionRoleArn is wrong"
	}
	for _, r := range s.runs {
		if r.ClientToken != in.ClientToken {
			continue
		}
		if !reflect.DeepEqual(r.Start, in) {
			return nil, "ConflictException", "the token was used with other parameters"
		}
		return map[string]string{"jobRunId": r.ID}, "", ""
	}
	return map[string]string{"jobRunId": s.add(in).ID}, "", ""
}

func (s *Server) getJobRun(id string) (answer any, code, said string) {
	r := s.find(id)
	if r == nil {
		return nil, "ResourceNotFoundException", "JobRun " + id + " does not exist"
	}
	r.Looks++
	return map[string]any{"jobRun": s.jobRun(r, "jobRunId")}, "", ""
}

func (s *Server) jobRun(r *Run, idKey string) map[string]any {
	state, reason := s.state(r, "SUCCESS")
	run := map[string]any{
		idKey: r.ID, "name": r.Name, "state": state, "stateDetails": reason,
		"createdAt": r.Created.Unix(), "updatedAt": r.Created.Unix() + 60, "executionRole": r.ExecutionRoleArn,
	}
	if r.ConfigurationOverrides != nil {
		run["configurationOverrides"] = r.ConfigurationOverrides
	}
	return run
}

func (s *Server) listJobRuns(next string) (answer any, code, said string) {
	runs, more := s.page(next)
	list := []any{}
	for _, r := range runs {
		list = append(list, s.jobRun(r, "id"))
	}
	out := map[string]any{"jobRuns": list}
	if more != "" {
		out["nextToken"] = more
	}
	return out, "", ""
}

func (s *Server) cancelJobRun(id string) (answer any, code, said string) {
	r := s.find(id)
	if r == nil {
		return nil, "ResourceNotFoundException", "JobRun " + id + " does not exist"
	}
	if state, _ := s.state(r, "SUCCESS"); over(state) {
		return nil, "ValidationException", "JobRun " + id + " is in a terminal state"
	}
	r.Cancelled = true
	return map[string]string{"jobRunId": id}, "", ""
}

func (s *Server) performOnCluster(op string, body []byte) (answer any, code, said string) {
	var in struct {
		Steps          []Start
		StepId, Marker string
		StepIds        []string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, "ValidationException", err.Error()
	}
	switch op {
	case "AddJobFlowSteps":
		ids := []string{}
		for _, step := range in.Steps {
			ids = append(ids, s.add(step).ID)
		}
		return map[string]any{"StepIds": ids}, "", ""
	case "DescribeStep":
		r := s.find(in.StepId)
		if r == nil {
			return nil, "InvalidRequestException", "Step id '" + in.StepId + "' is not valid"
		}
		r.Looks++
		return map[string]any{"Step": s.step(r)}, "", ""
	case "ListSteps":
		runs, more := s.page(in.Marker)
		list := []any{}
		for _, r := range runs {
			list = append(list, s.step(r))
		}
		return map[string]any{"Steps": list, "Marker": more}, "", ""
	case "CancelSteps":
		return s.cancelSteps(in.StepIds), "", ""
	case "DescribeCluster":
		return map[string]any{"Cluster": map[string]any{"LogUri": s.script.Logs}}, "", ""
	}
	return nil, "ValidationException", "no such call: " + op
}

func (s *Server) step(r *Run) map[string]any {
	state, reason := s.state(r, "COMPLETED")
	status := map[string]any{"State": state, "Timeline": map[string]any{"CreationDateTime": r.Created.Unix()}}
	if reason != "" {
		status["FailureDetails"] = map[string]any{"Reason": "Unknown Error.", "Message": reason}
	}
	return map[string]any{"Id": r.ID, "Name": r.Name, "Status": status}
}

func (s *Server) cancelSteps(ids []string) any {
	list := []any{}
	for _, id := range ids {
		r := s.find(id)
		info := map[string]any{"StepId": id, "Status": "SUBMITTED"}
		if r == nil {
			info["Status"], info["Reason"] = "FAILED", "Step not found"
		} else if state, _ := s.state(r, "COMPLETED"); over(state) {
			info["Status"], info["Reason"] = "FAILED", "Step is already terminated"
		} else {
			r.Cancelled = true
		}
		list = append(list, info)
	}
	return map[string]any{"CancelStepsInfoList": list}
}
