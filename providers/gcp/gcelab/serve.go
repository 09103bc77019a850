package gcelab

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Call is one call that the lab was asked for.
type Call struct {
	Time   time.Time // the lab's
	Method string    // the document's id: compute.instances.insert; "" = unknown
	HTTP   string    // GET /compute/v1/projects/...
	Body   []byte    // the request's, plain JSON
	Status int       // HTTP; 0 = no answer was given
	Reason string    // of a refusal
	Node   string    // the instance whose service account called; "" = a user
}

// call is one call while it is handled.
type call struct {
	method *method
	params map[string]string
	body   object
	rule   *Rule
	node   *instance // whose service account calls; nil = a user
}

// name is what the call is about: the resource in its path, or in its body.
func (c *call) name() string {
	for _, p := range []string{"instance", "operation", "firewall", "network", "subnetwork", "resourcePolicy", "reservation"} {
		if v := c.params[p]; v != "" {
			return v
		}
	}
	return text(c.body, "name")
}

type handler func(l *Lab, c *call) (object, *apiError)

// Calls are those made so far, oldest first.
func (l *Lab) Calls() []Call {
	l.lock()
	defer l.unlock()
	return append([]Call(nil), l.calls...)
}

// ForgetCalls empties the record of calls.
func (l *Lab) ForgetCalls() {
	l.lock()
	defer l.unlock()
	l.calls = nil
}

// answer is what is sent back.
type answer struct {
	status     int
	body       []byte
	retryAfter time.Duration
	drop       bool // close the connection instead
	delay      time.Duration
	record     Call
}

// ServeHTTP answers one call.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := l.handle(r)
	l.lock()
	a.record.Time = l.clock.now()
	if !a.drop {
		a.record.Status = a.status
	}
	l.calls = append(l.calls, a.record)
	l.unlock()
	if a.delay > 0 {
		t := time.NewTimer(a.delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		}
	}
	if a.drop {
		drop(w)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((a.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(a.status)
	// The client may be gone: that is its affair.
	_, _ = w.Write(a.body)
}

func drop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close() // that is the point
			return
		}
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (l *Lab) handle(r *http.Request) answer {
	a := answer{record: Call{HTTP: r.Method + " " + r.URL.RequestURI()}}
	raw, err := body(r)
	a.record.Body = raw
	if err != nil {
		return a.refuse(refuse(http.StatusBadRequest, "parseError", "Parse Error"))
	}
	m, path := find(l.docs, r)
	if m == nil || m.ID == "" {
		status := http.StatusNotFound
		if m != nil {
			status = http.StatusMethodNotAllowed
		}
		l.lock()
		l.violation("no document has %s", a.record.HTTP)
		l.unlock()
		return a.refuse(refuse(status, "notFound", "The requested URL %s was not found on this server, or not for %s.", r.URL.Path, r.Method))
	}
	a.record.Method = m.ID
	c, bad := l.read(m, path, r, raw)
	if c != nil && c.node != nil {
		a.record.Node = c.node.name
	}
	if bad != nil {
		return a.refuse(bad)
	}
	if strings.HasSuffix(m.ID, "Operations.wait") {
		l.await(r.Context(), c)
	}
	l.lock()
	defer l.unlock()
	c.rule = l.fault(c)
	if f := c.rule; f != nil {
		a.delay = f.Delay
		if f.HTTP != 0 && f.OperationError == "" {
			return a.refuse(f.refusal(c))
		}
		if f.Late > 0 {
			a.drop = true
			l.clock.after(f.Late, func() { l.do(c) })
			return a
		}
		a.drop = f.Lost
	}
	out, refused := l.do(c)
	if refused != nil {
		return a.refuse(refused)
	}
	a.status, a.body = http.StatusOK, out
	return a
}

// read makes a call of a request, or refuses it for its shape.
func (l *Lab) read(m *method, path map[string]string, r *http.Request, raw []byte) (*call, *apiError) {
	c := &call{method: m}
	if token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); token != "" {
		l.lock()
		c.node = l.tokens[token]
		l.unlock()
	}
	params, bad := m.checkParameters(path, r.URL.Query())
	if bad != nil {
		return c, bad.bad()
	}
	c.params = params
	if m.Request == nil {
		return c, nil
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return c, refuse(http.StatusBadRequest, "parseError", "Invalid JSON payload received. %s", err)
	}
	checked, bad := checker{doc: m.doc, method: m.ID}.check("resource", m.Request, v)
	if bad != nil {
		return c, bad.bad()
	}
	o, ok := checked.(object)
	if !ok {
		return c, refuse(http.StatusBadRequest, "parseError", "Invalid JSON payload received. Not an object.")
	}
	c.body = o
	return c, nil
}

// do lets a call take effect and gives its checked answer.
func (l *Lab) do(c *call) ([]byte, *apiError) {
	if refused := l.allow(c); refused != nil {
		return nil, refused
	}
	h := l.handlers[c.method.ID]
	if h == nil {
		l.violation("the lab does not answer %s", c.method.ID)
		return nil, refuse(http.StatusNotImplemented, "notImplemented", "The lab does not answer %s.", c.method.ID)
	}
	out, refused := h(l, c)
	if refused != nil {
		return nil, refused
	}
	if c.method.Response == nil {
		return []byte("{}"), nil
	}
	b, err := l.checked(c.method, out)
	if err != nil {
		l.violation("%s: %s", c.method.ID, err)
		return nil, refuse(http.StatusInternalServerError, "internalError", "The lab's answer breaks the document: %s", err)
	}
	return b, nil
}

// checked is an answer as JSON, checked as a client will read it.
func (l *Lab) checked(m *method, out object) ([]byte, error) {
	b, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	if _, bad := (checker{doc: m.doc}).check("response", m.Response, v); bad != nil {
		return nil, bad
	}
	return b, nil
}

func (a answer) refuse(e *apiError) answer {
	b, err := json.Marshal(e.body())
	if err != nil {
		b = []byte(`{"error": {"code": 500}}`)
	}
	a.status, a.body, a.retryAfter = e.status, b, e.retryAfter
	a.record.Reason = e.reason
	return a
}

// body reads a request's body, unpacked.
func body(r *http.Request) ([]byte, error) {
	const most = 16 << 20
	var in io.Reader = http.MaxBytesReader(nil, r.Body, most)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		in = io.LimitReader(z, most)
	}
	return io.ReadAll(in)
}
