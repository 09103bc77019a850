package local

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"aloft/providers"
)

// States of a record.
const (
	stateRunning    = "running"
	stateStopped    = "stopped"
	stateTerminated = "terminated"
)

const (
	keepTombstones = 8 * 24 * time.Hour // a token stays spent this long
	lingers        = time.Hour          // terminated nodes stay in listings this long
	recordFile     = "instance.json"
	powerOffFile   = "poweroff" // written by the node's agent: stop or terminate
	graves         = ".gone"    // tombstones
	trash          = ".trash"
)

// record is what is at rest of an instance.
type record struct {
	ID       string             `json:"id"`
	Token    string             `json:"token"`
	Name     string             `json:"name"`
	Spec     providers.NodeSpec `json:"spec"`
	Tags     providers.Tags     `json:"tags"`
	State    string             `json:"state"`
	Reason   string             `json:"reason,omitempty"`
	BootID   string             `json:"boot_id"`
	Created  time.Time          `json:"created"`
	Deadline time.Time          `json:"deadline,omitzero"`
	Preempt  time.Time          `json:"preempt,omitzero"`
	Ended    time.Time          `json:"ended,omitzero"`
}

func (r record) instance() providers.Instance {
	in := providers.Instance{
		InstanceRef: providers.InstanceRef{ID: r.ID, Region: r.Spec.Region, Zone: r.Spec.Zone},
		Token:       r.Token, Address: address, Created: r.Created, Deadline: r.Deadline, Tags: r.Tags, Reason: r.Reason,
	}
	switch r.State {
	case stateRunning:
		in.State = providers.InstanceRunning
	case stateStopped:
		in.State = providers.InstanceStopped
	default:
		in.State = providers.InstanceTerminated
	}
	return in
}

// same reports whether the record was made for spec. Both go through JSON, which does not tell nil from empty.
func (r record) same(spec providers.NodeSpec) bool {
	a, err := json.Marshal(r.Spec)
	if err != nil {
		return false
	}
	var x, y providers.NodeSpec
	b, err := json.Marshal(spec)
	if err != nil || json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// instanceID is the name of a token's instance: short, because sockets lie below its directory, and of this home alone,
// because processes are found by it.
func (p *Provider) instanceID(token string) string {
	sum := sha256.Sum256([]byte(p.dir + "\x00" + token))
	return "n-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))[:12]
}

// validID keeps what is not an instance id out of paths.
func validID(id string) bool {
	rest, ok := strings.CutPrefix(id, "n-")
	return ok && len(rest) == 12 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func (p *Provider) nodeDir(id string) string { return filepath.Join(p.dir, id) }

// HomeOf is the HOME of a node of this provider.
func (p *Provider) HomeOf(id string) string { return filepath.Join(p.nodeDir(id), "home") }

// ids are all instances, dead ones that still linger too.
func (p *Provider) ids() ([]string, error) {
	var out []string
	for _, dir := range []string{p.dir, filepath.Join(p.dir, graves)} {
		es, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list instances: %w", err)
		}
		for _, e := range es {
			id := strings.TrimSuffix(e.Name(), ".json")
			if validID(id) {
				out = append(out, id)
			}
		}
	}
	return out, nil
}

// read reads a record as it is at rest: the node's, or its tombstone. os.ErrNotExist = never made, or forgotten.
func (p *Provider) read(id string) (record, error) {
	var rec record
	b, err := os.ReadFile(filepath.Join(p.nodeDir(id), recordFile))
	if errors.Is(err, os.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(p.dir, graves, id+".json"))
	}
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		// Records are not forced to disk, so a crash of the host can leave an empty one. What is left can be deleted.
		return record{ID: id, State: stateStopped, Reason: "its record is damaged: " + err.Error()}, nil
	}
	return rec, nil
}

// refresh reads a record and lets happen what was to happen by now: the node powered itself off, its deadline or its
// preemption came, the host was rebooted.
func (p *Provider) refresh(id string) (record, error) {
	rec, err := p.read(id)
	if err != nil || rec.State == stateTerminated {
		return rec, err
	}
	off, err := os.ReadFile(filepath.Join(p.nodeDir(id), powerOffFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return rec, fmt.Errorf("read %s: %w", powerOffFile, err)
	}
	// What ends by itself does not depend on whoever looks.
	ctx := context.Background()
	now := time.Now()
	switch {
	case strings.TrimSpace(string(off)) == "terminate":
		err = p.terminate(ctx, rec, "powered off")
	case !rec.Preempt.IsZero() && now.After(rec.Preempt):
		err = p.terminate(ctx, rec, "preempted")
	case rec.State != stateRunning:
		return rec, nil
	case !rec.Deadline.IsZero() && now.After(rec.Deadline):
		err = p.terminate(ctx, rec, "deadline")
	case strings.TrimSpace(string(off)) == "stop":
		err = p.stop(ctx, rec, "powered off")
	case rec.BootID != bootID():
		err = p.stop(ctx, rec, "the host was rebooted")
	default:
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	return p.read(id)
}

// makeNode makes the directory of a node: all of it, or nothing that counts.
func (p *Provider) makeNode(rec record, set settings) error {
	if err := os.MkdirAll(filepath.Join(p.dir, trash), 0o700); err != nil {
		return fmt.Errorf("make %s: %w", p.dir, err)
	}
	tmp, err := os.MkdirTemp(filepath.Join(p.dir, trash), rec.ID+"-")
	if err != nil {
		return fmt.Errorf("make node: %w", err)
	}
	aloft := filepath.Join(tmp, "home", ".aloft")
	if err := os.MkdirAll(aloft, 0o700); err != nil {
		return fmt.Errorf("make node: %w", err)
	}
	if text, ok := set.pretended(rec.Spec); ok {
		if err := os.WriteFile(filepath.Join(aloft, "pretend-gpus"), []byte(text), 0o600); err != nil {
			return fmt.Errorf("make node: %w", err)
		}
	}
	if err := writeRecord(filepath.Join(tmp, recordFile), rec); err != nil {
		return err
	}
	if err := os.Rename(tmp, p.nodeDir(rec.ID)); err != nil {
		return fmt.Errorf("make node: %w", err)
	}
	p.forget()
	return nil
}

// write replaces the record of a living node.
func (p *Provider) write(rec record) error {
	return writeRecord(filepath.Join(p.nodeDir(rec.ID), recordFile), rec)
}

// writeRecord writes a record whole or not at all.
func writeRecord(path string, rec record) error {
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// stop ends the node's processes; the record says stopped first, so that no new ones are started.
func (p *Provider) stop(ctx context.Context, rec record, reason string) error {
	if rec.State != stateStopped {
		rec.State, rec.Reason = stateStopped, reason
		if err := p.write(rec); err != nil {
			return err
		}
	}
	if err := endProcesses(ctx, rec.ID); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(p.nodeDir(rec.ID), powerOffFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", powerOffFile, err)
	}
	return nil
}

// terminate ends the node's processes, then removes its directory, leaving a tombstone for its token.
func (p *Provider) terminate(ctx context.Context, rec record, reason string) error {
	if rec.State == stateRunning {
		rec.State, rec.Reason = stateStopped, reason
		if err := p.write(rec); err != nil {
			return err
		}
	}
	if err := endProcesses(ctx, rec.ID); err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	rec.State, rec.Reason, rec.Ended = stateTerminated, reason, time.Now()
	if err := os.MkdirAll(filepath.Join(p.dir, graves), 0o700); err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	if err := writeRecord(filepath.Join(p.dir, graves, rec.ID+".json"), rec); err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	// Removing may take long and may be interrupted: out of the way first.
	if err := os.MkdirAll(filepath.Join(p.dir, trash), 0o700); err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	tmp, err := os.MkdirTemp(filepath.Join(p.dir, trash), rec.ID+"-")
	if err == nil {
		err = os.Rename(p.nodeDir(rec.ID), filepath.Join(tmp, "node"))
	}
	if err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	if err := removeAll(tmp); err != nil {
		return fmt.Errorf("terminate %s: %w", rec.ID, err)
	}
	return nil
}

// removeAll removes a tree, opening directories that somebody made unwritable.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// forget drops old tombstones and what interrupted removals left.
func (p *Provider) forget() {
	for dir, keep := range map[string]time.Duration{graves: keepTombstones, trash: time.Hour} {
		es, err := os.ReadDir(filepath.Join(p.dir, dir))
		if err != nil {
			continue
		}
		for _, e := range es {
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > keep {
				_ = removeAll(filepath.Join(p.dir, dir, e.Name()))
			}
		}
	}
}
