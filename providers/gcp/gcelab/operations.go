package gcelab

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// requestLife is how long a request id is remembered, in the lab's time.
const requestLife = 60 * time.Minute

// operation is one asynchronous change.
type operation struct {
	scope   string // global, regions/X, zones/X
	body    object
	done    chan struct{}
	request string
	at      time.Time
}

func (op *operation) finished() bool { return op.body["status"] == "DONE" }

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// again gives the operation of an earlier call with the same request id; nil when there was none.
func (l *Lab) again(c *call) (*operation, *apiError) {
	id := c.params["requestId"]
	if id == "" {
		return nil, nil
	}
	if !uuid.MatchString(id) || strings.Trim(id, "0-") == "" {
		return nil, invalid("requestId", id, "It must be a valid UUID (RFC 4122) other than the zero UUID.")
	}
	op := l.requests[c.method.ID+" "+id]
	if op == nil || l.clock.now().Sub(op.at) > requestLife {
		return nil, nil
	}
	return op, nil
}

// start records an operation that is PENDING and begins to run soon. target is the changed resource.
func (l *Lab) start(c *call, scope, kind string, target object) *operation {
	now := l.clock.now()
	id := l.id()
	h := fnv.New64a()
	fmt.Fprint(h, id)
	name := fmt.Sprintf("operation-%d-%013x-%08x-%08x", now.UnixMilli(), now.UnixMicro()&0xfffffffffffff, uint32(h.Sum64()), uint32(h.Sum64()>>32))
	if c == nil {
		name = fmt.Sprintf("systemevent-%d-%013x-%08x-%08x", now.UnixMilli(), now.UnixMicro()&0xfffffffffffff, uint32(h.Sum64()), uint32(h.Sum64()>>32))
	}
	op := &operation{scope: scope, done: make(chan struct{}), at: now}
	user := "user@example.com"
	switch {
	case c == nil:
		user = "system"
	case c.node != nil:
		user = c.node.account()
	}
	op.body = object{
		"kind": "compute#operation", "id": id, "name": name, "operationType": kind, "status": "PENDING", "progress": 0,
		"insertTime": stamp(now), "user": user, "targetLink": text(target, "selfLink"), "targetId": text(target, "id"),
		"selfLink": l.link(scope, "operations", name),
	}
	switch {
	case strings.HasPrefix(scope, "zones/"):
		op.body["zone"] = l.link(scope)
	case strings.HasPrefix(scope, "regions/"):
		op.body["region"] = l.link(scope)
	}
	if op.body["targetId"] == "" {
		delete(op.body, "targetId")
	}
	l.ops[scope+"/"+name] = op
	if c != nil {
		if r := c.params["requestId"]; r != "" {
			op.request = c.method.ID + " " + r
			op.body["clientOperationId"] = r
			l.requests[op.request] = op
		}
	}
	l.clock.after(l.o.OperationTime/3, func() {
		if !op.finished() {
			op.body["status"], op.body["startTime"] = "RUNNING", stamp(l.clock.now())
		}
	})
	return op
}

// finish ends an operation; e = nil means that it worked.
func (l *Lab) finish(op *operation, e *opError) {
	if op == nil || op.finished() {
		return
	}
	now := stamp(l.clock.now())
	op.body["status"], op.body["progress"], op.body["endTime"] = "DONE", 100, now
	if op.body["startTime"] == nil {
		op.body["startTime"] = now
	}
	if e != nil {
		item := object{"code": e.code, "message": e.message}
		if len(e.details) > 0 {
			item["errorDetails"] = e.details
		}
		op.body["error"] = object{"errors": []any{item}}
		op.body["httpErrorStatusCode"], op.body["httpErrorMessage"] = e.status, e.text
	}
	close(op.done)
}

// change is a call that changes a resource at the end of its operation.
func (l *Lab) change(c *call, scope, kind string, target object, effect func() *opError) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	op = l.start(c, scope, kind, target)
	fails := l.operationError(c.rule, c)
	l.clock.after(l.o.OperationTime, func() {
		if fails == nil {
			fails = effect()
		}
		l.finish(op, fails)
	})
	return opBody(op), nil
}

// opBody is a copy: answers are written after the lab is unlocked.
func opBody(op *operation) object {
	if op == nil {
		return nil
	}
	out := make(object, len(op.body))
	for k, v := range op.body {
		out[k] = v
	}
	return out
}

func (c *call) scope() string {
	switch {
	case c.params["zone"] != "":
		return "zones/" + c.params["zone"]
	case c.params["region"] != "":
		return "regions/" + c.params["region"]
	}
	return "global"
}

func getOperation(l *Lab, c *call) (object, *apiError) {
	op := l.ops[c.scope()+"/"+c.params["operation"]]
	if op == nil {
		return nil, notFound("projects/" + l.o.Project + "/" + c.scope() + "/operations/" + c.params["operation"])
	}
	return opBody(op), nil
}

func deleteOperation(l *Lab, c *call) (object, *apiError) {
	key := c.scope() + "/" + c.params["operation"]
	op := l.ops[key]
	if op == nil {
		return nil, notFound("projects/" + l.o.Project + "/" + key)
	}
	if !op.finished() {
		return nil, refuse(http.StatusBadRequest, "invalid", "The operation '%s' is not done.", c.params["operation"])
	}
	delete(l.ops, key)
	return object{}, nil
}

func listOperations(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, op := range l.ops {
		if op.scope == c.scope() {
			all = append(all, op.body)
		}
	}
	return l.page(c, "compute#operationList", c.scope()+"/operations", all)
}

func aggregatedOperations(l *Lab, c *call) (object, *apiError) {
	var all []scoped
	for _, op := range l.ops {
		all = append(all, scoped{op.scope, op.body})
	}
	return l.aggregate(c, "compute#operationAggregatedList", "operations", all)
}

// await holds a wait call until its operation is done, or two minutes.
func (l *Lab) await(ctx context.Context, c *call) {
	l.lock()
	op := l.ops[c.scope()+"/"+c.params["operation"]]
	l.unlock()
	if op == nil {
		return
	}
	t := time.NewTimer(2 * time.Minute)
	defer t.Stop()
	select {
	case <-op.done:
	case <-t.C:
	case <-ctx.Done():
	case <-l.ctx.Done():
	}
}
