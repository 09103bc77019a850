package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/socket"
	controlv1 "aloft/proto/sky/control/v1"
)

func newAPICmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "api", Short: "The controller: start, stop, status, info, logs", Args: knownCommand, RunE: showHelp}
	cmd.AddCommand(a.apiStart(), a.apiStop(), a.apiStatus(), a.apiInfo(), a.apiLogs(),
		absentCommand("cancel", "requests are not kept apart from jobs: run `sky cancel CLUSTER JOB`, or `sky down CLUSTER` for a launch"),
		absentCommand("login", "the controller answers on a socket of this machine only: there is nothing to log in to"),
		absentCommand("logout", "the controller answers on a socket of this machine only: there is nothing to log out of"))
	return cmd
}

func (a *app) apiStart() *cobra.Command {
	var output, host string
	var deploy, foreground bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the controller unless it runs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			if deploy || cmd.Flags().Changed("host") {
				return usageError("--deploy and --host: this controller listens on a unix socket only")
			}
			if foreground {
				return a.runController(cmd.Context(), -1)
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			info, err := c.Info(cmd.Context(), &controlv1.InfoRequest{})
			if err != nil {
				return rpcError("ask the controller who it is", err)
			}
			if output == "json" {
				return a.printJSON(infoJSON(info))
			}
			a.say("%s Controller running: pid %d, %s", a.style(styleGreen, "✓"), info.GetPid(), info.GetSocket())
			return nil
		},
	}
	cmd.Flags().BoolVar(&foreground, "foreground", false, "run it here instead of in the background")
	cmd.Flags().BoolVar(&deploy, "deploy", false, "not supported")
	cmd.Flags().StringVar(&host, "host", "", "not supported")
	_ = cmd.Flags().MarkHidden("deploy")
	_ = cmd.Flags().MarkHidden("host")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) apiStop() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the controller; clusters and jobs go on without it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, info, err := a.dial(cmd.Context())
			if errors.Is(err, errNoController) {
				if output == "json" {
					return a.printJSON(map[string]any{"ok": true, "stopped": false})
				}
				a.say("No controller is running.")
				return nil
			}
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Shutdown(cmd.Context(), &controlv1.ShutdownRequest{}); err != nil {
				return rpcError("stop the controller", err)
			}
			if err := a.waitGone(cmd.Context(), info.GetPid()); err != nil {
				return err
			}
			if output == "json" {
				return a.printJSON(map[string]any{"ok": true, "stopped": true, "pid": info.GetPid()})
			}
			a.say("%s Controller stopped (pid %d).", a.style(styleGreen, "✓"), info.GetPid())
			return nil
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 10)] }

func infoJSON(i *controlv1.InfoResponse) map[string]any {
	return map[string]any{"status": "healthy", "pid": i.GetPid(), "socket": i.GetSocket(), "version": i.GetVersion(), "commit": i.GetCommit(),
		"home": i.GetHome(), "started_ms": i.GetStartedMs(), "installation": i.GetInstallation(), "epoch": i.GetEpoch(),
		"sessions": i.GetSessions(), "ready": i.GetReady()}
}

func (a *app) apiInfo() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Tell who answers: process, socket, version, home",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			i, err := c.Info(cmd.Context(), &controlv1.InfoRequest{})
			if err != nil {
				return rpcError("ask the controller who it is", err)
			}
			if output == "json" {
				return a.printJSON(infoJSON(i))
			}
			a.say("Client: version %s, commit %s", version, short(commit))
			a.say("Controller: %s", i.GetSocket())
			a.say("├── Status: healthy, version %s, commit %s, pid %d, up %s", i.GetVersion(), short(i.GetCommit()), i.GetPid(), between(i.GetStartedMs(), 0, time.Now()))
			a.say("├── Home: %s", i.GetHome())
			a.say("├── Installation: %s, epoch %d", i.GetInstallation(), i.GetEpoch())
			a.say("└── Agent sessions: %d", i.GetSessions())
			return nil
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) apiStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell whether the controller runs; starts nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, i, err := a.dial(cmd.Context())
			if errors.Is(err, errNoController) {
				path, perr := socket.Path(a.home)
				if perr != nil {
					return &exitError{code: exitConfig, err: perr}
				}
				if output == "json" {
					if err := a.printJSON(map[string]any{"status": "stopped", "socket": path, "home": a.home}); err != nil {
						return err
					}
				} else {
					a.say("No controller is running for %s. Any command that needs one starts it; so does `sky api start`.", a.home)
				}
				return &exitError{code: exitFailure}
			}
			if err != nil {
				return err
			}
			defer c.Close()
			if output == "json" {
				return a.printJSON(infoJSON(i))
			}
			a.say("Controller running: pid %d, version %s, up %s.", i.GetPid(), i.GetVersion(), between(i.GetStartedMs(), 0, time.Now()))
			return nil
		},
	}
	acceptHidden(cmd, "all-status", "verbose")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) apiLogs() *cobra.Command {
	var tail int
	var follow bool
	var output string
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show the controller's own log",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			f, err := os.Open(filepath.Join(a.home, "controller.log"))
			if errors.Is(err, os.ErrNotExist) {
				return &exitError{code: exitNotFound, err: fmt.Errorf("%s: no controller has run here", filepath.Join(a.home, "controller.log"))}
			}
			if err != nil {
				return fmt.Errorf("open the controller's log: %w", err)
			}
			defer f.Close()
			if output == "json" {
				return a.copyLog(cmd.Context(), lineDocuments{a}, f, tail, follow)
			}
			return a.copyLog(cmd.Context(), a.out, f, tail, follow)
		},
	}
	cmd.Flags().IntVar(&tail, "tail", 0, "last `N` lines; 0 = everything")
	cmd.Flags().BoolVar(&follow, "follow", false, "keep showing what is appended")
	outputFlag(cmd, &output)
	acceptHidden(cmd, "server-logs", "no-follow")
	return cmd
}

// lineDocuments writes every line it is given as a JSON document of its own.
type lineDocuments struct{ a *app }

// Write is called with whole lines.
func (d lineDocuments) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if err := d.a.ndjson(map[string]string{"type": "line", "line": strings.TrimRight(string(line), "\n")}); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// copyLog prints the last lines of a file, then with follow what is appended to it.
func (a *app) copyLog(ctx context.Context, to io.Writer, f *os.File, tail int, follow bool) error {
	r := bufio.NewReaderSize(f, 64<<10)
	var last []string
	part := ""
	for tick := (*time.Ticker)(nil); ; {
		line, err := r.ReadString('\n')
		if err == nil {
			line, part = part+line, ""
			if tail > 0 && tick == nil {
				if last = append(last, line); len(last) > tail {
					last = last[1:]
				}
			} else if _, werr := io.WriteString(to, line); werr != nil {
				return werr
			}
			continue
		}
		part += line
		if !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the controller's log: %w", err)
		}
		if tick == nil {
			if _, err := io.WriteString(to, strings.Join(last, "")); err != nil {
				return err
			}
		}
		if !follow {
			_, err := io.WriteString(to, part)
			return err
		}
		if tick == nil {
			tick = time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
		}
		select {
		case <-ctx.Done():
			return &exitError{code: exitInterrupted}
		case <-tick.C:
		}
	}
}
