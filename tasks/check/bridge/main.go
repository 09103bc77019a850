package bridge

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
)

// The exit codes of Main.
const (
	Served   = 0
	BadInput = 2
)

// Main serves the inherited file descriptor that --fd names: one end of a
// socket pair, or of two pipes with --out-fd.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	fs := flag.NewFlagSet("bridge", flag.ContinueOnError)
	fs.SetOutput(stderr)
	in := fs.Int("fd", -1, "`number` of the inherited socket")
	color := fs.Bool("color", false, "colour the text form of the report")
	if err := fs.Parse(args); err != nil {
		return BadInput
	}
	if fs.NArg() > 0 || *in < 0 {
		fmt.Fprintln(stderr, "bridge: this command is started by the Python package aloft_checks, with --fd; to run a suite document: sky test SUITE.yaml")
		return BadInput
	}
	f := os.NewFile(uintptr(*in), "socket "+strconv.Itoa(*in))
	if f == nil {
		fmt.Fprintf(stderr, "bridge: there is no file descriptor %d\n", *in)
		return BadInput
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.Close() }) // a read that waits ends
	defer stop()
	err := Serve(ctx, f, *color)
	if failed := (*Failed)(nil); errors.As(err, &failed) {
		return BadInput // the other side was told, and tells the user
	}
	if err != nil {
		fmt.Fprintln(stderr, "bridge:", err)
		return BadInput
	}
	return Served
}
