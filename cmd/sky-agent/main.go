// Command sky-agent is what runs on a node: the agent, the keepers of its ranks and the suite runner.
package main

import (
	"fmt"
	"os"

	"aloft/agent/shim"
)

// version is stamped by the linker.
var version = "dev"

func main() {
	// First of all: a rank waits for it, and it needs nothing of the rest.
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Serve(os.Stderr))
	}
	fmt.Println(version)
}
