package parts

import (
	"context"
	"syscall"
)

// Pause stops the process where it is (SIGSTOP): it neither runs nor dies.
func (p *Process) Pause() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) }

// Resume lets a paused process run on (SIGCONT).
func (p *Process) Resume() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) }

// Terminate asks the process to end (SIGTERM) and does not wait.
func (p *Process) Terminate() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) }

// Wait returns once the process is gone, with how it ended, or when ctx ends.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
