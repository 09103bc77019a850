package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"aloft/tasks"
)

// taskFlags are the flags that launch and exec share to describe a task; they override the file.
type taskFlags struct {
	name, workdir, infra, cloud, region, zone  string
	gpus, cpus, memory, instanceType           string
	diskSize, diskTier, networkTier, localDisk string
	imageID, gitURL, gitRef, priority          string
	numNodes                                   int
	useSpot, noUseSpot                         bool
	ports, env, envFiles, secrets, secretFiles []string
	config                                     []string
	cmd                                        *cobra.Command
}

func (f *taskFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	fl := cmd.Flags()
	fl.StringVarP(&f.name, "name", "n", "", "task `NAME`")
	fl.StringVar(&f.workdir, "workdir", "", "`DIR` to send to ~/sky_workdir on every node")
	fl.StringVar(&f.infra, "infra", "", "`PLACE` to run: local, or as clouds come aws, aws/us-east-1, gcp/*/us-central1-a")
	fl.StringVar(&f.cloud, "cloud", "", "cloud to use")
	fl.StringVar(&f.region, "region", "", "region to use")
	fl.StringVar(&f.zone, "zone", "", "zone to use")
	fl.IntVar(&f.numNodes, "num-nodes", 0, "`N` nodes")
	fl.StringVar(&f.cpus, "cpus", "", "vCPUs per node: `N`, or N+ for at least N")
	fl.StringVar(&f.memory, "memory", "", "memory per node: `GB`, or GB+ for at least that")
	fl.StringVar(&f.gpus, "gpus", "", "accelerators per node: `NAME[:N]`, as A100:8, V100, T4:0.5")
	fl.StringVarP(&f.instanceType, "instance-type", "t", "", "instance `TYPE`")
	fl.StringVar(&f.diskSize, "disk-size", "", "disk in `GB`")
	fl.StringVar(&f.diskTier, "disk-tier", "", "disk `TIER`: low, medium, high, ultra, best or none")
	fl.StringVar(&f.networkTier, "network-tier", "", "network `TIER`: standard, best or none")
	fl.StringVar(&f.localDisk, "local-disk", "", "not supported")
	fl.StringVar(&f.imageID, "image-id", "", "`IMAGE` of the machines")
	fl.StringVar(&f.priority, "priority", "", "has no effect yet: jobs run in the order of submission")
	fl.BoolVar(&f.useSpot, "use-spot", false, "use spot machines")
	fl.BoolVar(&f.noUseSpot, "no-use-spot", false, "use on-demand machines")
	fl.StringArrayVar(&f.ports, "ports", nil, "`PORT` or range to open; repeatable")
	fl.StringArrayVar(&f.env, "env", nil, "environment variable `KEY=VALUE`, or KEY to take it from here; repeatable")
	fl.StringArrayVar(&f.envFiles, "env-file", nil, "`FILE` of environment variables; repeatable")
	fl.StringArrayVar(&f.secrets, "secret", nil, "secret `KEY=VALUE`, or KEY to take it from here; repeatable")
	fl.StringArrayVar(&f.secretFiles, "secret-file", nil, "`FILE` of secrets; repeatable")
	fl.StringVar(&f.gitURL, "git-url", "", "repository `URL` to clone as the workdir")
	fl.StringVar(&f.gitRef, "git-ref", "", "branch, tag or commit `REF` of --git-url")
	fl.StringArrayVar(&f.config, "config", nil, "not supported")
	for _, old := range []string{"cloud", "region", "zone", "config", "local-disk", "priority"} {
		_ = fl.MarkHidden(old)
	}
	cmd.MarkFlagsMutuallyExclusive("use-spot", "no-use-spot")
	cmd.MarkFlagsMutuallyExclusive("workdir", "git-url")
	cmd.MarkFlagsMutuallyExclusive("infra", "cloud")
	cmd.MarkFlagsMutuallyExclusive("infra", "region")
	cmd.MarkFlagsMutuallyExclusive("infra", "zone")
}

// overrides gives what the flags change about a task file.
func (f *taskFlags) overrides(a *app) tasks.Overrides {
	o := tasks.Overrides{Env: f.env, EnvFiles: f.envFiles, Secrets: f.secrets, SecretFiles: f.secretFiles,
		LookupEnv: a.getenv, Ports: f.ports}
	str := func(flag, v string, into **string) {
		if f.cmd.Flags().Changed(flag) {
			*into = &v
		}
	}
	str("name", f.name, &o.Name)
	str("workdir", f.workdir, &o.Workdir)
	str("infra", f.infra, &o.Infra)
	str("gpus", f.gpus, &o.GPUs)
	str("cpus", f.cpus, &o.CPUs)
	str("memory", f.memory, &o.Memory)
	str("instance-type", f.instanceType, &o.InstanceType)
	str("disk-size", f.diskSize, &o.DiskSize)
	str("disk-tier", f.diskTier, &o.DiskTier)
	str("network-tier", f.networkTier, &o.NetworkTier)
	str("image-id", f.imageID, &o.ImageID)
	str("git-url", f.gitURL, &o.GitURL)
	str("git-ref", f.gitRef, &o.GitRef)
	if f.cloud != "" || f.region != "" || f.zone != "" {
		parts := []string{orStar(f.cloud), orStar(f.region), orStar(f.zone)}
		for len(parts) > 1 && parts[len(parts)-1] == "*" {
			parts = parts[:len(parts)-1]
		}
		infra := strings.Join(parts, "/")
		o.Infra = &infra
	}
	if f.cmd.Flags().Changed("num-nodes") {
		o.NumNodes = &f.numNodes
	}
	if f.useSpot || f.noUseSpot {
		spot := f.useSpot
		o.UseSpot = &spot
	}
	return o
}

// refuse names flags of SkyPilot's that this version cannot honour.
func (f *taskFlags) refuse(a *app) error {
	switch {
	case len(f.config) > 0:
		return usageError("--config: this version has no configuration file to override: use the task's own fields and flags")
	case f.localDisk != "" && f.localDisk != "none":
		return usageError("--local-disk: no place that is enabled here offers local disks to choose from")
	case f.priority != "" && f.priority != "none":
		a.note("--priority has no effect yet: the jobs of a cluster run in the order they were submitted.")
	}
	return nil
}

func orStar(s string) string {
	if s == "" {
		return "*"
	}
	return s
}

// readTask makes the one task of a command line: a task file, or a command, or nothing (nil).
func (a *app) readTask(args []string, f *taskFlags) (*tasks.Task, string, error) {
	if err := f.refuse(a); err != nil {
		return nil, "", err
	}
	o := f.overrides(a)
	var doc *tasks.Document
	var ds tasks.Diagnostics
	var src []byte
	var err error
	what := ""
	switch {
	case len(args) == 0:
		doc, ds = tasks.FromCommand("", o)
	case len(args) == 1 && looksLikeFile(args[0]):
		if _, err := os.Stat(args[0]); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, "", usageError("there is no file %q\n  to run a command of that name: sky %s -- bash -c %s", args[0], f.cmd.Name(), args[0])
			}
			return nil, "", usageError("task file %q: %v", args[0], pathErr(err))
		}
		what = "YAML to run: " + args[0]
		if src, err = readTaskFile(a.in, args[0]); err != nil {
			return nil, "", &exitError{code: exitUsage, err: err}
		}
		doc, ds = tasks.Parse(args[0], src, o)
	default:
		line := strings.Join(args, " ")
		what = "Command to run: " + line
		doc, ds = tasks.FromCommand(line, o)
	}
	ds = append(ds, suiteDiagnostics(doc, ds)...)
	for _, d := range ds.Warnings() {
		a.note("%s", d)
	}
	if ds.HasErrors() {
		file := ""
		if src != nil {
			file = args[0]
		}
		text := strings.TrimRight(problems(file, src, ds.Errors(), painter(a.errOut)), "\n")
		return nil, "", &exitError{code: exitConfig, err: &taskError{ds.Errors(), text}}
	}
	if len(doc.Tasks) != 1 {
		return nil, "", usageError("%s holds %d tasks: `sky launch` and `sky exec` run one task", args[0], len(doc.Tasks))
	}
	return doc.Tasks[0], what, nil
}

// taskError is every problem of a task at once.
type taskError struct {
	ds   tasks.Diagnostics
	text string
}

func (e *taskError) Error() string { return "the task cannot run as written:\n" + e.text }

// looksLikeFile tells a task file from a command, as SkyPilot's users expect.
func looksLikeFile(arg string) bool {
	return strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

// pathErr drops the operation and path that an error text repeats.
func pathErr(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}
