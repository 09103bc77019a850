package ship_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"aloft/controller/ship"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// machine answers every command with what its test says.
type machine struct {
	uname string
	start string
	exit  int
}

func (m machine) Run(_ context.Context, c providers.Cmd) (providers.Exit, error) {
	switch {
	case strings.HasPrefix(c.Line, "uname"):
		_, err := io.WriteString(c.Stdout, m.uname)
		return providers.Exit{}, err
	case strings.Contains(c.Line, " start "):
		_, err := io.WriteString(c.Stdout, m.start)
		return providers.Exit{Code: m.exit}, err
	}
	_, err := io.Copy(io.Discard, c.Stdin)
	return providers.Exit{}, err
}

func (machine) Dial(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
func (machine) Close() error                                           { return nil }

func TestFailuresAreClassified(t *testing.T) {
	t.Parallel()
	agent := func(string, string) (ship.Carried, error) {
		return ship.Carried{Plain: []byte("x"), SHA256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}, nil
	}
	none := func(string, string) (ship.Carried, error) { return ship.Carried{}, errors.New("no agent here") }
	for _, x := range []struct {
		name string
		m    machine
		find func(string, string) (ship.Carried, error)
		kind providers.Kind
		code string
	}{
		{"unknown platform", machine{uname: "Plan9\nx86_64\n"}, agent, providers.Unsupported, "no-agent"},
		{"no agent carried", machine{uname: "Linux\nx86_64\n"}, none, providers.Unsupported, "no-agent"},
		{"does not start", machine{uname: "Linux\nx86_64\n", exit: 127, start: "\xff\x00"}, agent, providers.Transient, providers.CodeAgentStart},
		{"says nothing", machine{uname: "Linux\nx86_64\n"}, agent, providers.Transient, providers.CodeAgentStart},
		{"runs", machine{uname: "Linux\naarch64\n", start: "/a/socket\n"}, agent, 0, ""},
	} {
		s := ship.New(ship.NewPayload(t.TempDir(), x.find), slog.New(slog.DiscardHandler))
		err := s.Ship(t.Context(), nil, &statev1.Node{Id: "n", Name: "c-head"}, x.m)
		var e *providers.Error
		switch {
		case x.code == "" && err != nil:
			t.Errorf("%s: %v", x.name, err)
		case x.code == "":
		case !errors.As(err, &e) || e.Kind != x.kind || e.Code != x.code || e.Hint == "":
			t.Errorf("%s: %v is not a %v failure with code %s and a hint", x.name, err, x.kind, x.code)
		}
	}
}
