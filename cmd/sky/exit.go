package main

import (
	"errors"
	"fmt"

	statev1 "aloft/proto/sky/state/v1"
)

// exitCode is one row of the table that docs/exit-codes.md is made from.
type exitCode struct {
	Code    int
	Name    string
	Meaning string
}

// Exit codes of every command. launch, exec, logs and wait end with the job's own exit code when the user's command decided
// the outcome (137 = killed by SIGKILL).
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitFound       = 3
	exitWaitTimeout = 75
	exitSetup       = 100
	exitUnfinished  = 101
	exitNotFound    = 102
	exitCancelled   = 103
	exitInfra       = 104
	exitBudget      = 105
	exitChecks      = 106
	exitConflict    = 107
	exitConfig      = 108
	exitRegression  = 109
	exitNotPosted   = 110
	exitInterrupted = 130
)

// exitTable documents every code; the docs are generated from it.
func exitTable() []exitCode {
	return []exitCode{
		{exitOK, "ok", "done; for launch, exec, logs and wait: the job succeeded"},
		{exitFailure, "failure", "an error without a code of its own"},
		{exitUsage, "usage", "unknown flag, missing argument, or a prompt that nobody can answer"},
		{exitFound, "found", "`sky ci reap --dry-run`: there are machines that it would end"},
		{exitWaitTimeout, "wait timeout", "--timeout ran out while the job goes on: run `sky wait` or `sky logs`"},
		{exitSetup, "setup", "the task's setup failed on some node"},
		{exitUnfinished, "unfinished", "`sky logs --status` or `--no-follow` of a job that has not finished"},
		{exitNotFound, "not found", "no such cluster or job"},
		{exitCancelled, "cancelled", "the job was cancelled"},
		{exitInfra, "infrastructure", "a machine, a provider or Aloft itself failed, not the user's command; no capacity, no quota"},
		{exitBudget, "budget", "max_duration or max_cost ran out"},
		{exitChecks, "checks", "the run succeeded, a validation suite did not"},
		{exitConflict, "conflict", "the cluster's or job's state does not allow it"},
		{exitConfig, "configuration", "the request can never work as written: task, resources, credentials"},
		{exitRegression, "regression", "`sky test --baseline`: the suite passed, and is worse than its baseline"},
		{exitNotPosted, "not posted", "`sky comment`, `sky ci check`, `sky ci runner`: the forge did not take it: token, permissions, limits, no pull request; after limits and outages a report is in the job summary"},
		{exitInterrupted, "interrupted", "Ctrl-C before anything was handed over"},
	}
}

// exitError carries an exit code out of a command. err nil means that it was already reported.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// codeOf finds the exit code of err.
func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailure
}

// codeOfKind is the exit code of a failure that is not the user's command.
func codeOfKind(k statev1.FailureKind) int {
	switch k {
	case statev1.FailureKind_SETUP:
		return exitSetup
	case statev1.FailureKind_INFRA, statev1.FailureKind_CAPACITY, statev1.FailureKind_QUOTA:
		return exitInfra
	case statev1.FailureKind_CONFIG, statev1.FailureKind_AUTH:
		return exitConfig
	case statev1.FailureKind_TIMEOUT:
		return exitBudget
	case statev1.FailureKind_CANCELLED:
		return exitCancelled
	case statev1.FailureKind_NOT_FOUND:
		return exitNotFound
	case statev1.FailureKind_CHECKS:
		return exitChecks
	case statev1.FailureKind_CONFLICT:
		return exitConflict
	case statev1.FailureKind_USAGE:
		return exitUsage
	}
	return exitFailure
}
