package hostlab_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aloft/providers/boot"
	"aloft/providers/hostlab"
)

// TestLease: a host whose user data is the boot script ends itself when its lease runs out, with no agent on it and its
// dead-man killed now and then; renewed by its login, without root, it does not.
func TestLease(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	start := func(name string) (*hostlab.Host, *atomic.Int64) {
		off := new(atomic.Int64)
		now := time.Now()
		h, err := l.Start(limited(t), hostlab.Spec{
			Name: name, Boot: bootScript(t, boot.Script{Deadline: now.Add(8 * time.Second), Issued: now}),
			PowerOff: func() { off.Store(time.Now().UnixNano()) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return h, off
	}
	began := time.Now()
	left, leftOff := start("left")
	kept, keptOff := start("kept")
	login := newLogin(t, kept.Address())
	login.await(t, kept, fmt.Sprintf("echo '%d 3600' >%s.new && mv %[2]s.new %[2]s", time.Now().Add(time.Hour).Unix(), boot.DeadlineFile))
	if _, err := left.Run(limited(t), "pkill -9 -f aloft/deadman$ || :"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the host without anybody ends itself", func() bool { return leftOff.Load() > 0 })
	if took := time.Unix(0, leftOff.Load()).Sub(began); took < 6*time.Second {
		t.Errorf("it ended after %v: %s", took, left.Console())
	}
	eventually(t, "the renewal counts", func() bool {
		out, err := kept.Run(limited(t), "head -n 1 "+boot.LeftFile)
		return err == nil && strings.HasPrefix(string(out), "3") && len(strings.TrimSpace(string(out))) == 4
	})
	if keptOff.Load() > 0 {
		t.Fatalf("the renewed host ended: %s", kept.Console())
	}
	// Its login may end it through the command that agents use.
	if out, err := login.run("sudo -n " + boot.EndCommand + " terminate"); err != nil && keptOff.Load() == 0 && !strings.Contains(out, "closed") {
		t.Logf("end: %v: %s", err, out)
	}
	eventually(t, "the host ends when told to", func() bool { return keptOff.Load() > 0 })
}
