package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"aloft/controller/forge/cienv"
)

// cmlRunnerOptions are flags of `cml runner launch` that say of which kind the machine is.
type cmlRunnerOptions struct {
	cloud, region, kind, gpu, image, startup, ssh, permission, group, subnet, selector string
	diskGB                                                                             int
	spot                                                                               bool
	spotPrice                                                                          float64
	metadata                                                                           []string
	volumes                                                                            []string
	single                                                                             bool
	ignored                                                                            string
	ignoredNumber                                                                      int
}

// cmlSelector is CML's default node selector of Kubernetes.
const cmlSelector = "accelerator=infer"

// cmlRunner is `cml runner launch`.
func (a *app) cmlRunner(verb string) *cobra.Command {
	var o cmlOptions
	var c cmlRunnerOptions
	r := &runnerOptions{prefix: cmlName + "-"}
	cmd := &cobra.Command{
		Use:   verb,
		Short: "Launch a self-hosted runner, on a machine of a cloud or on this one",
		Long: `Launch a self-hosted runner as sky ci runner launch does, with CML's flags. With --cloud
it returns when the runner is online; without, the runner is on this machine, and the
command stays until it has ended. The token of the forge and the keys of the cloud do
not get to the machine.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.forge, r.ephemeral, r.yes, r.count, r.output, r.timeout, r.lifetime = o.forge, c.single, true, 1, "text", runnerTimeout, runnerLifetime
			r.task.cmd = cmd
			if v, _ := a.getenv("CML_RUNNER_MAX_LIFETIME"); v != "" {
				r.lifetime = v
			}
			if host, name := cienv.Remote(r.forge.repo); host != "" && name != "" && !strings.Contains(name, "/") {
				r.owner, r.forge.repo = name, "" // an organisation, as CML takes it
			}
			var err error
			if r.source, err = c.task(a); err != nil {
				return err
			}
			if c.startup != "" {
				b, err := base64.StdEncoding.DecodeString(c.startup)
				if err != nil {
					return usageError("--cloud-startup-script: it is no base64: %v", err)
				}
				r.setup = string(b)
			}
			if c.cloud == "" {
				r.infra, r.watch = hostProvider, true // as CML's own process is the runner's
			}
			return a.launchRunners(cmd.Context(), nil, r)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&r.labels, "labels", []string{"cml"}, "`LABELS` by which jobs ask for it, separated by commas")
	fl.StringVar(&r.name, "name", "", "`NAME` of the runner (default cml- and something)")
	fl.BoolVar(&c.single, "single", false, "end after one job")
	fl.BoolVar(&c.single, "ephemeral", false, "as --single")
	fl.BoolVar(&r.reuse, "reuse", false, "launch none if one with these labels is online")
	fl.BoolVar(&r.reuseIdle, "reuse-idle", false, "launch none if one with these labels is online and has no job")
	fl.StringVar(&r.idle, "idle-timeout", runnerIdle, "`TIME` without a job after which it ends: seconds, \"5 minutes\" or never")
	fl.BoolVar(&r.noRetry, "no-retry", false, "do not run the run again whose machine was lost")
	fl.StringVar(&c.cloud, "cloud", "", "`CLOUD`: aws or gcp")
	fl.StringVar(&c.region, "cloud-region", "us-west", "`REGION`: us-east, us-west, eu-west, eu-north, or as the cloud writes it, also a zone")
	fl.StringVar(&c.kind, "cloud-type", "", "`TYPE`: s, m, l, xl, or as the cloud writes it")
	fl.StringVar(&c.gpu, "cloud-gpu", "", "`GPU`: nogpu, k80, v100, t4, or another as sky gpus list shows them, as A100:8")
	fl.IntVar(&c.diskGB, "cloud-hdd-size", 0, "disk in `GB`")
	fl.BoolVar(&c.spot, "cloud-spot", false, "a spot machine")
	fl.Float64Var(&c.spotPrice, "cloud-spot-price", -1, "most `USD` an hour; -1 = what it costs")
	fl.StringVar(&c.startup, "cloud-startup-script", "", "`BASE64` of commands for the machine before the runner starts")
	fl.StringSliceVar(&c.metadata, "cloud-metadata", nil, "label `KEY=VALUE` of the machine; repeatable")
	fl.StringVar(&c.image, "cloud-image", "", "`IMAGE` of the machine")
	fl.StringVar(&c.ssh, "cloud-ssh-private", "", "not needed: sky makes keys of its own, and `ssh NAME` gets in")
	fl.StringVar(&c.permission, "cloud-permission-set", "", "not supported")
	fl.StringVar(&c.group, "cloud-aws-security-group", "", "not supported")
	fl.StringVar(&c.subnet, "cloud-aws-subnet", "", "not supported")
	fl.StringVar(&c.subnet, "cloud-aws-subnet-id", "", "not supported")
	fl.StringVar(&c.selector, "cloud-kubernetes-node-selector", cmlSelector, "not supported")
	fl.StringSliceVar(&c.volumes, "docker-volumes", nil, "not supported")
	fl.StringVar(&r.version, "runner-version", "", "`VERSION` of the runner's program (default as the forge says)")
	fl.StringArrayVar(&r.sums, "runner-sha256", nil, "`[ARCH=]DIGEST` that the program must have")
	fl.StringArrayVar(&r.urls, "runner-url", nil, "`[ARCH=]URL` of the program")
	for _, f := range []string{"workdir", "tpi-version", "cml-version", "tf-resource"} {
		fl.StringVar(&c.ignored, f, "", "has no effect")
		_ = fl.MarkHidden(f)
	}
	fl.IntVar(&c.ignoredNumber, "destroy-delay", 10, "has no effect")
	for _, f := range []string{"destroy-delay", "cloud-image", "ephemeral"} {
		_ = fl.MarkHidden(f)
	}
	a.cmlFlags(cmd, &o, "runner")
	a.cmlOldVariables(cmd)
	return cmd
}

// cmlOldVariables reads variables that CML had before its prefixes. They give way to flags and to those with the prefix.
func (a *app) cmlOldVariables(cmd *cobra.Command) {
	next := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range []string{"idle-timeout", "labels", "single", "reuse", "no-retry", "driver", "repo"} {
			n := "RUNNER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			f := cmd.Flags().Lookup(name)
			v, ok := a.getenv(n)
			if !ok || v == "" || f.Changed {
				continue
			}
			if err := f.Value.Set(v); err != nil {
				return usageError("%s=%q: %v", n, v, err)
			}
		}
		return next(cmd, args)
	}
}

// cmlRegions are CML's names of regions, by cloud.
func cmlRegions() map[string]map[string]string {
	return map[string]map[string]string{
		"aws": {"us-east": "us-east-1", "us-west": "us-west-1", "eu-north": "eu-north-1", "eu-west": "eu-west-1"},
		"gcp": {"us-east": "us-east1", "us-west": "us-west1", "eu-north": "europe-north1", "eu-west": "europe-west1"},
	}
}

// cmlSizes are CML's sizes of machines: vCPUs and GB, and how many of each GPU.
func cmlSizes() map[string]struct {
	cpus, memory int
	gpus         map[string]int
} {
	type size = struct {
		cpus, memory int
		gpus         map[string]int
	}
	return map[string]size{
		"s":  {1, 1, map[string]int{"T4": 1, "K80": 1, "V100": 1}},
		"m":  {8, 32, map[string]int{"T4": 1, "K80": 1, "V100": 1}},
		"l":  {32, 128, map[string]int{"T4": 4, "K80": 8, "V100": 4}},
		"xl": {64, 256, map[string]int{"T4": 8, "K80": 16, "V100": 8}},
	}
}

var (
	// cloudZone is a zone of AWS or Google Cloud: a region and a letter.
	cloudZone = regexp.MustCompile(`^([a-z]+(?:-[a-z]+)+-?[0-9]+)-?([a-z])$`)
	gpuCount  = regexp.MustCompile(`^(.*?)(?:[*:]([0-9]+))?$`)
)

// task is the machine that CML's flags ask for, as a task file.
func (c *cmlRunnerOptions) task(a *app) ([]byte, error) {
	for flag, v := range map[string]string{"--cloud-permission-set": c.permission, "--cloud-aws-security-group": c.group, "--cloud-aws-subnet": c.subnet,
		"--cloud-kubernetes-node-selector": strings.TrimPrefix(c.selector, cmlSelector), "--docker-volumes": strings.Join(c.volumes, ",")} {
		if v != "" {
			return nil, usageError("%s: it cannot be honoured here, and without it the machine would be another than you mean: leave it out, or set it up as docs/clouds.md says", flag)
		}
	}
	if c.ssh != "" {
		a.note("--cloud-ssh-private has no effect: sky makes keys of its own, and `ssh NAME` gets in.")
	}
	res := map[string]any{}
	switch c.cloud {
	case "":
		if c.kind != "" || c.gpu != "" && c.gpu != "nogpu" || c.spot || c.diskGB > 0 {
			return nil, usageError("--cloud-type, --cloud-gpu, --cloud-spot and --cloud-hdd-size need --cloud")
		}
	case "azure", "kubernetes":
		return nil, usageError("--cloud %s: this version has no machines there: aws and gcp are there", c.cloud)
	default:
		res["infra"] = c.cloud + c.place()
		if err := c.machine(res); err != nil {
			return nil, err
		}
	}
	labels := map[string]string{}
	for _, kv := range c.metadata {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, usageError("--cloud-metadata %q: allowed: KEY=VALUE", kv)
		}
		labels[k] = v
	}
	if len(labels) > 0 {
		res["labels"] = labels
	}
	b, err := json.Marshal(map[string]any{"resources": res})
	if err != nil {
		return nil, fmt.Errorf("write down the machine: %w", err)
	}
	return b, nil
}

// place is the region, and the zone where one is named, as infra takes them.
func (c *cmlRunnerOptions) place() string {
	region := c.region
	if native, ok := cmlRegions()[c.cloud][region]; ok {
		return "/" + native
	}
	if region == "" || c.cloud != "aws" && c.cloud != "gcp" {
		return "" // CML's default means nothing to other places
	}
	if m := cloudZone.FindStringSubmatch(region); m != nil {
		return "/" + m[1] + "/" + region
	}
	return "/" + region
}

// machine fills in size, GPUs, disk and price.
func (c *cmlRunnerOptions) machine(res map[string]any) error {
	gpu, count := "", 0
	if c.gpu != "" && c.gpu != "nogpu" {
		m := gpuCount.FindStringSubmatch(c.gpu)
		gpu = strings.TrimPrefix(strings.TrimPrefix(m[1], "nvidia-tesla-"), "nvidia-")
		if slices.Contains([]string{"k80", "v100", "t4", "p4", "p100"}, gpu) {
			gpu = strings.ToUpper(gpu)
		}
		if count, _ = strconv.Atoi(m[2]); m[2] != "" && count < 1 {
			return usageError("--cloud-gpu %q: allowed: NAME, or NAME:N with N from 1", c.gpu)
		}
	}
	size, known := cmlSizes()[c.kind]
	switch {
	case known && gpu != "":
		count = max(count, size.gpus[gpu], 1)
	case known:
		res["cpus"], res["memory"] = fmt.Sprintf("%d+", size.cpus), fmt.Sprintf("%d+", size.memory)
	case c.kind != "":
		res["instance_type"] = c.kind
	}
	if gpu != "" && res["instance_type"] == nil {
		res["accelerators"] = fmt.Sprintf("%s:%d", gpu, max(count, 1))
	}
	if c.diskGB < 0 {
		return usageError("--cloud-hdd-size %d: allowed: a size in GB, from 1", c.diskGB)
	}
	if c.diskGB > 0 {
		res["disk_size"] = c.diskGB
	}
	if c.spot {
		res["use_spot"] = true
		if c.spotPrice > 0 {
			res["max_hourly_cost"] = c.spotPrice
		}
	}
	if c.image != "" {
		res["image_id"] = c.image
	}
	return nil
}
