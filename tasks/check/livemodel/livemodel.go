// Package livemodel asks a model that runs as a process of its own: requests
// and answers are JSON objects, one a line, over standard input and output.
// docs/model-protocol.md is the contract.
package livemodel

import (
	"context"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// version is the version of the protocol.
const version = 1

// The defaults of Spec.
const (
	DefaultTimeout = time.Minute
	DefaultBatch   = 10_000
)

// Spec says how to run a model.
type Spec struct {
	Command string // for the shell
	// Timeout bounds each call, the start included; 0 is DefaultTimeout.
	Timeout time.Duration
	// Env holds variables to set beside the present ones.
	Env map[string]string
	// Batch is the number of rows of one request, at most; 0 is DefaultBatch.
	Batch int
}

// Process is a model process. It starts with the first question. A process
// that failed once is not asked again.
type Process struct {
	spec Spec
	dir  string

	lock  chan struct{} // held during a call
	child *child
	info  engine.ModelInfo
	err   error // why it is not asked any more
}

// New makes a model that will run in dir. Close must be called.
func New(spec Spec, dir string) *Process {
	if spec.Timeout == 0 {
		spec.Timeout = DefaultTimeout
	}
	if spec.Batch == 0 {
		spec.Batch = DefaultBatch
	}
	return &Process{spec: spec, dir: dir, lock: make(chan struct{}, 1)}
}

// Info starts the process, if needed, and describes the model.
func (p *Process) Info(ctx context.Context) (engine.ModelInfo, error) {
	if err := p.enter(ctx); err != nil {
		return engine.ModelInfo{}, err
	}
	defer p.leave()
	if p.err != nil {
		return engine.ModelInfo{}, p.err
	}
	return p.info, nil
}

// enter waits for the process to be free, and starts it when it has not.
func (p *Process) enter(ctx context.Context) error {
	select {
	case p.lock <- struct{}{}:
	case <-ctx.Done():
		return engine.Errorf(engine.ModelValidation, "the live model was not asked: %v", context.Cause(ctx))
	}
	if p.child == nil && p.err == nil {
		p.start(ctx)
	}
	return nil
}

func (p *Process) leave() { <-p.lock }

func (p *Process) start(ctx context.Context) {
	p.child, p.err = launch(p.spec, p.dir)
	if p.err != nil {
		return
	}
	line, err := p.child.call(ctx, []byte(`{"op":"hello","v":1}`), p.spec.Timeout)
	if err == nil {
		p.info, err = decodeHello(line)
		if err != nil {
			p.child.end()
		}
	}
	p.err = err
}

// Predict asks for the rows' labels, and their probabilities when the model
// has them.
func (p *Process) Predict(ctx context.Context, rows *frame.Table, label *frame.Column) (*engine.Predictions, time.Duration, error) {
	return p.predict(ctx, "predict", 0, rows, label)
}

// Staged asks the model as it was after some of its boosting steps.
func (p *Process) Staged(ctx context.Context, rows *frame.Table, label *frame.Column, trees int) (*engine.Predictions, error) {
	out, _, err := p.predict(ctx, "predict_staged", trees, rows, label)
	return out, err
}

func (p *Process) predict(ctx context.Context, op string, trees int, rows *frame.Table, label *frame.Column) (*engine.Predictions, time.Duration, error) {
	if err := p.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer p.leave()
	if p.err != nil {
		return nil, 0, p.err
	}
	a := newAnswer(p.info, label)
	request := newRequest(rows)
	for start := 0; start < rows.Rows(); start += p.spec.Batch {
		end := min(start+p.spec.Batch, rows.Rows())
		line, err := p.child.call(ctx, request.encode(op, trees, p.info.HasProba, start, end), p.spec.Timeout)
		if err == nil {
			err = a.add(line, end-start)
		}
		if err != nil {
			if e := (refusal{}); !isRefusal(err, &e) {
				p.child.end()
				p.err = err
			} else {
				err = engine.Errorf(engine.ModelValidation, "the live model refused: %s", e.message)
			}
			return nil, 0, err
		}
	}
	return a.predictions(), a.took, nil
}

// Close says goodbye and ends the process with all that it started.
func (p *Process) Close() {
	p.lock <- struct{}{}
	defer p.leave()
	if p.child != nil {
		p.child.close()
	}
	if p.err == nil {
		p.err = engine.Errorf(engine.ModelValidation, "the live model has been closed")
	}
}
