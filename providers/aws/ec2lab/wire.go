package ec2lab

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// request is one call of an API.
type request struct {
	service string // as signed for: ec2, sts, ssm, servicequotas, pricing, iam
	action  string
	region  string
	key     string
	form    url.Values      // of the query protocol
	body    []byte          // as sent
	json    json.RawMessage // of the JSON protocols
	header  http.Header
	path    string
	zone    string // that RunInstances asks for, also by its subnet
}

func (q *request) get(name string) string { return q.form.Get(name) }

// list reads Name.1, Name.2, ...
func (q *request) list(name string) []string {
	var out []string
	for i := 1; q.form.Has(fmt.Sprintf("%s.%d", name, i)); i++ {
		out = append(out, q.form.Get(fmt.Sprintf("%s.%d", name, i)))
	}
	return out
}

// response is an answer that was not sent yet.
type response struct {
	status int
	typ    string
	body   []byte
	code   string // of the error; "" = none
}

var scope = regexp.MustCompile(`Credential=([^/,]+)/[0-9]+/([^/,]+)/([^/,]+)/aws4_request`)

func (l *Lab) read(r *http.Request) (*request, *response) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return nil, &response{status: 400}
	}
	q := &request{body: body, header: r.Header, path: r.URL.RequestURI(), form: url.Values{}, service: "ec2"}
	m := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return nil, failure(q, "MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	q.key, q.region, q.service = m[1], m[2], m[3]
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, q.action, _ = strings.Cut(target, ".")
		q.json = body
	} else {
		if q.form, err = url.ParseQuery(string(body)); err != nil {
			return nil, failure(q, "MalformedQueryString", "%v", err)
		}
		q.action = q.form.Get("Action")
	}
	return q, nil
}

// statusOf is the HTTP status of a code.
func statusOf(code string) int {
	switch code {
	case "RequestLimitExceeded", "Unavailable", "ServiceUnavailable", "Throttling":
		return 503
	case "InternalError", "InternalFailure", "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientAddressCapacity":
		return 500
	case "AuthFailure":
		return 401
	case "UnauthorizedOperation", "AccessDenied", "InvalidClientTokenId", "ExpiredToken", "OptInRequired", "SignatureDoesNotMatch", "MissingAuthenticationToken":
		return 403
	case "DryRunOperation":
		return 412
	}
	return 400
}

// failure is an error in the protocol of the request.
func failure(q *request, code, format string, args ...any) *response {
	text := fmt.Sprintf(format, args...)
	switch {
	case q.json != nil:
		b, err := json.Marshal(map[string]string{"__type": code, "message": text})
		if err != nil {
			b = []byte("{}")
		}
		return &response{status: statusOf(code), typ: "application/x-amz-json-1.1", body: b, code: code}
	case q.service == "ec2":
		var b bytes.Buffer
		b.WriteString(xml.Header + "<Response><Errors><Error><Code>" + code + "</Code><Message>")
		_ = xml.EscapeText(&b, []byte(text))
		b.WriteString("</Message></Error></Errors><RequestID>" + newID("r") + "</RequestID></Response>")
		return &response{status: statusOf(code), typ: "text/xml;charset=UTF-8", body: b.Bytes(), code: code}
	}
	var b bytes.Buffer
	b.WriteString("<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(text))
	b.WriteString("</Message></Error><RequestId>" + newID("r") + "</RequestId></ErrorResponse>")
	return &response{status: statusOf(code), typ: "text/xml", body: b.Bytes(), code: code}
}

// answerXML is a successful answer of EC2; v is a struct whose fields are below <ActionResponse>.
func answerXML(q *request, v any) *response {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	start := xml.StartElement{Name: xml.Name{Local: q.action + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "http://ec2.amazonaws.com/doc/2016-11-15/"}}}
	if err := e.EncodeElement(v, start); err != nil {
		return failure(q, "InternalError", "%v", err)
	}
	return &response{status: 200, typ: "text/xml;charset=UTF-8", body: b.Bytes()}
}

func answerJSON(v any) *response {
	b, err := json.Marshal(v)
	if err != nil {
		return &response{status: 500}
	}
	return &response{status: 200, typ: "application/x-amz-json-1.1", body: b}
}

// done is the answer of calls that say nothing but yes.
func done(q *request) *response {
	return answerXML(q, struct {
		RequestID string `xml:"requestId"`
		Return    bool   `xml:"return"`
	}{newID("r"), true})
}

// forward gives a request to moto as it is.
func (l *Lab) forward(ctx context.Context, q *request) *response {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.moto.url+q.path, bytes.NewReader(q.body))
	if err != nil {
		return failure(q, "InternalError", "%v", err)
	}
	for _, h := range []string{"Authorization", "Content-Type", "X-Amz-Target", "X-Amz-Date"} {
		if v := q.header.Get(h); v != "" {
			req.Header.Set(h, v)
		}
	}
	req.Header.Set("X-Moto-Account-Id", l.account)
	resp, err := l.client.Do(req)
	if err != nil {
		return failure(q, "InternalError", "moto: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return failure(q, "InternalError", "moto: %v", err)
	}
	out := &response{status: resp.StatusCode, typ: resp.Header.Get("Content-Type"), body: b}
	if out.status >= 300 {
		out.code = fmt.Sprint("http-", out.status)
		if m := errorCode.FindSubmatch(b); m != nil {
			out.code = string(m[1])
		}
	}
	return out
}

var errorCode = regexp.MustCompile(`<Code>([^<]+)</Code>`)

// ask makes a call of our own to moto's EC2.
func (l *Lab) ask(ctx context.Context, region, action string, form map[string]string) *response {
	v := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for k, x := range form {
		v.Set(k, x)
	}
	q := &request{service: "ec2", action: action, region: region, form: v, body: []byte(v.Encode()), path: "/", header: http.Header{}}
	q.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	q.header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+AccessKey+"/20260101/"+region+"/ec2/aws4_request, SignedHeaders=host, Signature=0")
	return l.forward(ctx, q)
}

// serve answers a call.
func (l *Lab) serve(w http.ResponseWriter, r *http.Request) {
	q, bad := l.read(r)
	if bad != nil {
		send(w, bad)
		return
	}
	began := time.Now()
	f := l.prepare(r.Context(), q)
	call := Call{Service: q.service, Action: q.action, Region: q.region, Zone: q.zone, Form: q.form, JSON: q.json, At: began}
	rule := f
	if rule != nil && rule.Delay > 0 {
		l.waiting.Add(1)
		select {
		case <-time.After(rule.Delay):
		case <-l.ctx.Done():
		}
		l.waiting.Add(-1)
	}
	switch {
	case rule != nil && rule.Late > 0:
		l.spawn(rule.Late, func(ctx context.Context) { l.perform(ctx, q) })
		call.Code = "late"
		l.note(call)
		drop(w)
	case rule != nil && rule.Lost:
		// The effect must not depend on whether the caller waits.
		l.perform(context.WithoutCancel(r.Context()), q)
		call.Code = "lost"
		l.note(call)
		drop(w)
	case rule != nil && rule.Code != "":
		out := failure(q, rule.Code, "%s", rule.message())
		if rule.HTTP != 0 {
			out.status = rule.HTTP
		}
		if rule.Body != "" {
			out.typ, out.body = "text/html", []byte(rule.Body)
		}
		if rule.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(rule.RetryAfter.Seconds())))
		}
		call.Code = rule.Code
		l.note(call)
		send(w, out)
	default:
		out := l.perform(context.WithoutCancel(r.Context()), q)
		call.Code = out.code
		l.note(call)
		send(w, out)
	}
}

// send answers, not at once: the SDK closes its request's body when the answer begins, and Go's HTTP client gives up the
// connection when that happens before it has seen the end of that body. No server on a real network is that fast.
func send(w http.ResponseWriter, r *response) {
	pause := time.Millisecond
	if len(r.body) > 4<<10 {
		pause = 10 * time.Millisecond
	}
	time.Sleep(pause)
	if r.typ != "" {
		w.Header().Set("Content-Type", r.typ)
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body)
}

// drop ends the connection without an answer.
func drop(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = c.Close()
	}
}

// prepare finds what faults depend on, and the fault.
func (l *Lab) prepare(ctx context.Context, q *request) *Rule {
	if q.service == "ec2" && q.action == "RunInstances" {
		q.zone = q.get("Placement.AvailabilityZone")
		if id := subnetOf(q); q.zone == "" && id != "" {
			if s, err := l.subnet(ctx, q.region, id); err == nil {
				q.zone = s.zone
			}
		}
	}
	return l.match(q)
}

// perform does what is asked: who asks, may they, then the call.
func (l *Lab) perform(ctx context.Context, q *request) *response {
	l.mu.Lock()
	code := l.bad[q.key]
	l.mu.Unlock()
	if code != "" {
		if q.service != "ec2" && code == "AuthFailure" {
			code = "InvalidClientTokenId"
		}
		return failure(q, code, "the credentials in this request cannot be used")
	}
	if out := l.authorize(ctx, q); out != nil {
		return out
	}
	switch q.service {
	case "ec2":
		return l.ec2(ctx, q)
	case "ssm":
		if q.action == "GetParameter" {
			return l.getParameter(ctx, q)
		}
	case "servicequotas":
		return l.serviceQuotas(q)
	case "pricing":
		return l.pricing(ctx, q)
	case "iam":
		if q.action == "SimulatePrincipalPolicy" {
			return l.simulate(q)
		}
	}
	return l.forward(ctx, q)
}

// ec2 does a call of EC2.
func (l *Lab) ec2(ctx context.Context, q *request) *response {
	do := map[string]func(context.Context, *request) *response{
		"RunInstances": l.runInstances, "DescribeInstances": l.describeInstances, "DescribeInstanceStatus": l.describeStatus,
		"TerminateInstances": l.change, "StopInstances": l.change, "StartInstances": l.change, "RebootInstances": l.change,
		"ModifyInstanceAttribute": l.modifyAttribute, "DescribeInstanceAttribute": l.describeAttribute, "GetConsoleOutput": l.console,
		"CreateTags": l.tag, "DeleteTags": l.tag, "DescribeImages": l.describeImages, "DeleteSecurityGroup": l.deleteGroup,
		"CreatePlacementGroup": l.createPlacement, "DescribePlacementGroups": l.describePlacements, "DeletePlacementGroup": l.deletePlacement,
		"DescribeSpotPriceHistory": l.spotPrices, "DescribeSpotInstanceRequests": l.spotRequests, "CancelSpotInstanceRequests": l.cancelSpot,
	}[q.action]
	if q.get("DryRun") == "true" && q.action != "RunInstances" {
		return failure(q, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	if do == nil {
		return l.forward(ctx, q)
	}
	return do(ctx, q)
}
