package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"aloft/providers"
	"aloft/providers/shell"
)

// LeaseEnv marks every process of a lease; the value is the lease's key.
const LeaseEnv = "ALOFT_LEASE"

//go:embed host.sh
var common string

// lease is the record on a host that says whose it is: ~/.aloft/host/lease, made once by whoever comes first. One line.
type lease struct {
	Key      string             `json:"key"`
	ID       string             `json:"id"`
	Token    string             `json:"token"`
	Name     string             `json:"name"`
	Spec     providers.NodeSpec `json:"spec"`
	Tags     providers.Tags     `json:"tags"`
	Created  time.Time          `json:"created"`
	Deadline time.Time          `json:"deadline,omitzero"`
	End      int64              `json:"end,omitempty"` // the deadline in unix seconds, for the host
}

// keyOf is the short form of a token that names files and processes on the host.
func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:8])
}

var validKey = regexp.MustCompile(`^[0-9a-f]{16}$`)

// splitID takes an instance id apart; false = it is none of ours.
func splitID(id string) (pool, name, key string, ok bool) {
	f := strings.Split(id, "/")
	if len(f) != 3 || !validKey.MatchString(f[2]) {
		return "", "", "", false
	}
	return f[0], f[1], f[2], true
}

// same reports whether the lease was taken for spec. Both go through JSON, which does not tell nil from empty.
func same(a, b providers.NodeSpec) bool {
	var x, y providers.NodeSpec
	for from, to := range map[*providers.NodeSpec]*providers.NodeSpec{&a: &x, &b: &y} {
		raw, err := json.Marshal(from)
		if err != nil || json.Unmarshal(raw, to) != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}

// answer is what a host says after an action.
type answer struct {
	state   string // free, taken, held, gone
	address string
	lease   lease
	reason  string // of gone
}

func (a answer) instance(h host) providers.Instance {
	in := providers.Instance{
		InstanceRef: providers.InstanceRef{ID: a.lease.ID, Region: h.Pool}, Token: a.lease.Token, State: providers.InstanceRunning,
		Address: orElse(h.Address, a.address), Created: a.lease.Created, Deadline: a.lease.Deadline, Tags: a.lease.Tags, Reason: a.reason,
	}
	if a.state == "gone" {
		in.State = providers.InstanceTerminated
	}
	return in
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Actions on a host. $key is the lease's key.
const (
	// take makes the lease from the record on standard input unless the host has one, or had this one.
	take = `if [ -e "$d/gone/$key" ]; then show gone "$d/gone/$key"; exit 0; fi
f="$d/.new.$$"
cat >"$f"
sync "$f" 2>/dev/null
if ln "$f" "$d/lease" 2>/dev/null; then
  rm -f "$f"
  rm -rf "$HOME/.aloft/agent"
  printf '%s\n' '#!/bin/sh' '# Ends the lease of this host from within; the host itself goes on.' \
    "setsid env -u ALOFT_LEASE /bin/sh '$d/release' $key 'powered off' >/dev/null 2>&1 </dev/null &" >"$HOME/.aloft/end.new"
  chmod 700 "$HOME/.aloft/end.new"
  mv -f "$HOME/.aloft/end.new" "$HOME/.aloft/end"
  find "$d/gone" -type f -mtime +8 -exec rm -f {} + 2>/dev/null
  show taken "$d/lease"
else
  rm -f "$f"
  show held "$d/lease"
fi`
	// look tells of one lease.
	look = `if grep -qs "\"key\":\"$key\"" "$d/lease"; then show taken "$d/lease"
elif [ -e "$d/gone/$key" ]; then show gone "$d/gone/$key"
else show free; fi`
	// list tells of whatever lease there is.
	list = `if [ -e "$d/lease" ]; then show taken "$d/lease"; else show free; fi`
	// drop ends the lease.
	drop = `release "$key" deleted && show free`
	// extend replaces the record.
	extend = `f="$d/.new.$$"
cat >"$f"
if grep -qs "\"key\":\"$key\"" "$d/lease"; then mv -f "$f" "$d/lease"; show taken "$d/lease"; else rm -f "$f"; show free; fi`
)

// open opens a shell on a host.
func (p *Provider) open(ctx context.Context, h host) (providers.Shell, error) {
	t, err := p.target(h)
	if err != nil {
		return nil, fault("shell", providers.Invalid, "ssh-config", h.At, err)
	}
	return shell.Dial(ctx, t, shell.Options{Provider: Name, Pool: p.pool})
}

// act runs an action on a host. ran says that it may have had an effect although there is an error.
func (p *Provider) act(ctx context.Context, h host, op, action, key string, l *lease) (a answer, ran bool, err error) {
	sh, err := p.open(ctx, h)
	if err != nil {
		return answer{}, false, named(op, h, err)
	}
	defer sh.Close()
	cmd := providers.Cmd{Line: "key=" + key + "\n" + common + action}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if l != nil {
		b, err := json.Marshal(l)
		if err != nil {
			return answer{}, false, fault(op, providers.Invalid, "record", "", fmt.Errorf("encode the lease: %w", err))
		}
		cmd.Stdin = bytes.NewReader(append(b, '\n'))
	}
	exit, err := sh.Run(ctx, cmd)
	if err != nil {
		return answer{}, true, named(op, h, err)
	}
	if exit.Code != 0 {
		return answer{}, true, fault(op, providers.Transient, "host", "", fmt.Errorf("host %s (%s): exit code %d: %s", h.Name, h.At, exit.Code, strings.TrimSpace(errs.String())))
	}
	a, err = parseAnswer(out.String())
	if err != nil {
		return answer{}, true, fault(op, providers.Transient, "host", "", fmt.Errorf("host %s (%s): %w", h.Name, h.At, err))
	}
	return a, true, nil
}

// parseAnswer reads what an action printed. What a login prints before is skipped.
func parseAnswer(out string) (answer, error) {
	var a answer
	for out != "" && a.state == "" {
		var line string
		line, out, _ = strings.Cut(out, "\n")
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "address":
			a.address = value
		case "state":
			a.state = value
		}
	}
	switch a.state {
	case "free":
		return a, nil
	case "taken", "held", "gone":
	default:
		return a, errors.New("no answer that can be read")
	}
	record, reason, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(record), &a.lease); err != nil {
		// A crash of the host can leave an empty record. What is left can be deleted.
		a.lease = lease{}
		a.reason = "its record is damaged: " + err.Error()
		return a, nil
	}
	a.reason = strings.TrimSpace(reason)
	return a, nil
}

// named says which host an error is about.
func named(op string, h host, err error) error {
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Op, c.Err = op, fmt.Errorf("host %s (%s): %w", h.Name, h.At, e.Err)
	return &c
}

func fault(op string, k providers.Kind, code, hint string, err error) *providers.Error {
	return &providers.Error{Provider: Name, Op: op, Kind: k, Scope: providers.ScopeRegion, Code: code, Hint: hint, Err: err}
}
