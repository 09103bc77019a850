package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"aloft/agent"
	"aloft/agent/shim"
)

// run is the agent itself. It ends when ctx does; the processes of jobs go on and the next agent takes them over. A
// service manager must therefore not kill its process group with it (systemd: KillMode=process).
func run(ctx context.Context, args []string, stderr io.Writer) int {
	shim.CloseStrays(0) // of the login that started us
	o := agent.Options{Version: version}
	var level slog.Level
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.StateDir, "state-dir", "", "state `directory` (default ~/.aloft/agent)")
	fs.StringVar(&o.Home, "home", "", "home `directory` of jobs (default the user's)")
	fs.StringVar(&o.Socket, "socket", "", "`path` to listen on (default in the state directory)")
	fs.StringVar(&o.NodeID, "node", "", "who the node is")
	fs.StringVar(&o.GangAddress, "gang-address", "", "`host:port` for the agents of other nodes (default a free port)")
	fs.DurationVar(&o.GangGrace, "gang-grace", 0, "how long another node of a job may be silent (default 60s)")
	fs.TextVar(&level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "sky-agent run: unknown argument %q\n", fs.Arg(0))
		return 2
	}
	o.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	if err := agent.Run(ctx, o); err != nil {
		fmt.Fprintln(stderr, "sky-agent:", err)
		return 1
	}
	return 0
}
