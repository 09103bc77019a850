// Command sky-agent is what runs on a node: the agent, the keepers of its ranks and the suite runner.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"aloft/agent/shim"
	"aloft/tasks/check/bridge"
	"aloft/tasks/check/suitecmd"
)

// version is stamped by the linker.
var version = "dev"

const usage = `usage: sky-agent COMMAND

  run      the agent; stays in the foreground
  start    make sure that an agent runs in the background, print its socket
  check    run a validation suite next to the data
  bridge   run a validation suite on what Python streams (started by aloft_checks only)
  shim     keep one process of a job (started by the agent only)
  version  print the version
`

func main() {
	// First of all: a rank waits for it, and it needs nothing of the rest.
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Serve(os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	switch args[0] {
	case "run":
		return run(ctx, args[1:], stderr)
	case "start":
		return start(args[1:], stdout, stderr)
	case "check":
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(suitecmd.GCPercent)
		}
		return suitecmd.Main(ctx, args[1:], stdout, stderr)
	case "bridge":
		return bridge.Main(ctx, args[1:], stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, version)
		return 0
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "sky-agent: unknown command %q\n%s", args[0], usage)
	return 2
}
