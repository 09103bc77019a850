package tasks

import "math"

// The rows below are the grammar. docs/task-yaml.md is generated from them.

func atLeast(n float64, text string) *bounds {
	return &bounds{min: n, max: math.Inf(1), text: text}
}

func positive() *bounds {
	return &bounds{min: 0, max: math.Inf(1), open: true, text: "greater than 0"}
}

// taskTable is the top level of a task document.
func taskTable() *table {
	return &table{
		title: "a task", dropNull: true,
		stale: map[string]string{
			"env": "envs", "secret": "secrets", "resource": "resources", "workers": "pool.workers",
			"command": "run", "cmd": "run", "script": "run", "hooks": "config.hooks", "nodes": "num_nodes",
			"file_mount": "file_mounts", "image_id": "resources.image_id", "accelerators": "resources.accelerators",
			"execution": "a first document that holds only name and execution",
		},
		doc: "All keys are optional. A key whose value is null counts as absent.",
		fields: []field{
			{name: "name", kinds: kindText, doc: "Display name. Letters and digits, joined by single or double `.`, `_` or `-`."},
			{name: "workdir", kinds: kindText | kindMap, typ: "a directory, or a map with url and ref", doc: "Code sent to every node on `launch` and `exec`: a directory relative to where the command runs, or a git repository. Variables are substituted."},
			{name: "num_nodes", kinds: kindInt, bounds: atLeast(1, "at least 1"), def: "1", doc: "Number of nodes; all start together or none does."},
			{name: "resources", kinds: kindMap, table: resourcesTable(), doc: "What every node must offer."},
			{name: "envs", kinds: kindMap, typ: "map of name to value", doc: "Environment of setup and run. A null value must be given with `--env`. `ALOFT_TENSORBOARD` names the directory of event files (see [metrics.md](metrics.md)); `ALOFT_METRICS` is set by us. Values become text the way Python prints them: `true` is `True`."},
			{name: "secrets", kinds: kindMap | kindList, typ: "map of name to value, or list of secrets:NAME", doc: "Like envs, but never printed or stored in clear."},
			{name: "managed_secrets", kinds: kindMap | kindList, typ: "list of names, or map of name to {mount_path}", doc: "References to secrets kept by the controller."},
			{name: "file_mounts", kinds: kindMap, typ: "map of destination to source or storage", doc: "Files, directories or buckets placed on every node at launch. Variables are substituted."},
			{name: "volumes", kinds: kindMap, typ: "map of mount path to volume", doc: "Network volumes: a name, `{name, sub_path}`, or `{size}` for an ephemeral one. Variables are substituted."},
			{name: "setup", kinds: kindText, doc: "Bash text run on every node at each launch, before run."},
			{name: "run", kinds: kindText, doc: "Bash text run on every node of the job. Its exit code is that of the last command: there is no `set -e`."},
			{name: "service", kinds: kindMap, table: serviceTable(), doc: "Makes the task a served one. Variables are substituted."},
			{name: "pool", kinds: kindMap, table: poolTable(), doc: "Makes the task a pool of workers; not together with service."},
			{name: "config", kinds: kindMap, table: configTable(), doc: "The task's own part of the configuration, and lifecycle hooks."},
			{name: "inputs", kinds: kindMap, typ: "map of one URI to gigabytes", doc: "Size of the input, to rank places."},
			{name: "outputs", kinds: kindMap, typ: "map of one URI to gigabytes", doc: "Size of the output, to rank places."},
			{name: "event_callback", kinds: kindText, doc: "Bash text run at each state change of a managed job."},
			{name: "api_server_access", kinds: kindBool, def: "true", doc: "Whether the job may call the API server."},
			{name: "tests", kinds: kindMap | kindList, table: testTable(), ours: true, typ: "a suite, or a list of suites", doc: "Validation suites to run after run."},
			{name: "artifacts", kinds: kindMap | kindList | kindText, ours: true, typ: "list of paths or globs, or map of path to local destination", doc: "Files brought back after run."},
			{name: "budget", kinds: kindMap, table: budgetTable(), ours: true, doc: "Limits that stop the run."},
			{name: "file_mounts_mapping", kinds: kindMap, internal: true},
			{name: "volume_mounts", kinds: kindList, internal: true},
			{name: "_metadata", kinds: kindMap, internal: true},
		},
	}
}

func resourceFields() []field {
	return []field{
		{name: "infra", kinds: kindText, typ: "cloud[/region[/zone]], k8s[/context], ssh[/pool], slurm[/cluster[/partition]]; * for any", doc: "Where to run. The cloud is compared without case."},
		{name: "cloud", kinds: kindText, doc: "Older form of infra."},
		{name: "region", kinds: kindText, doc: "Older form of infra."},
		{name: "zone", kinds: kindText, doc: "Older form of infra."},
		{name: "accelerators", kinds: kindText | kindMap | kindList, typ: "NAME, NAME:COUNT, a map or a list of those, or a memory such as 32GB+", doc: "GPUs or TPUs per node. A map means any of them; a list means in this order."},
		{name: "gpus", kinds: kindText | kindMap | kindList, doc: "Another name for accelerators."},
		{name: "accelerator_args", kinds: kindMap, table: acceleratorArgsTable(), doc: "Options of TPUs."},
		{name: "cpus", kinds: kindNumber | kindText, typ: "number, or number+ for at least", doc: "vCPUs per node."},
		{name: "memory", kinds: kindNumber | kindText, typ: "number, number+, with a unit (KB to PB, Ki to Pi), or Nx per vCPU", doc: "Memory per node in GB (binary)."},
		{name: "instance_type", kinds: kindText, doc: "An exact machine type."},
		{name: "use_spot", kinds: kindBool, def: "false", doc: "Ask for preemptible machines."},
		{name: "job_recovery", kinds: kindText | kindMap, typ: "FAILOVER, EAGER_NEXT_REGION, none, or a map", doc: "How a managed job comes back: `{strategy, max_restarts_on_errors, recover_on_exit_codes}`."},
		{name: "disk_size", kinds: kindInt | kindText, typ: "GB, or a size such as 100GB or 1TB", def: "256", doc: "Boot disk; must come to whole gigabytes."},
		{name: "disk_tier", kinds: kindText, choices: []string{"low", "medium", "high", "ultra", "best"}, fold: true, doc: "Speed of the boot disk."},
		{name: "ephemeral_storage", kinds: kindInt | kindText, typ: "GB, or a size", doc: "Kubernetes only."},
		{name: "local_disk", kinds: kindText, typ: "nvme or ssd, with :SIZE or :SIZE+, or SIZE or SIZE+ in quotes", doc: "Local disks the machine must have, in GB."},
		{name: "network_tier", kinds: kindText, choices: []string{"standard", "best"}, fold: true, doc: "Network between nodes."},
		{name: "ports", kinds: kindInt | kindText | kindList, typ: "port, range, or a list of those", doc: "Ports to open; 1 to 65535."},
		{name: "labels", kinds: kindMap, typ: "map of text to text", doc: "Tags of the machines."},
		{name: "image_id", kinds: kindText | kindMap, typ: "image, docker:IMAGE, or a map of region to image", doc: "What the node boots, or the container everything runs in."},
		{name: "autostop", kinds: kindBool | kindInt | kindText | kindMap, typ: "true, false, minutes, a duration such as 2h, or a map", doc: "Stop or delete the cluster when idle: `{idle_minutes, down, wait_for}`. `true` means 5 minutes."},
		{name: "priority", kinds: kindInt, bounds: &bounds{min: -1000, max: 1000, text: "between -1000 and 1000"}, doc: "Higher runs first."},
		{name: "priority_class", kinds: kindText, doc: "A Kubernetes PriorityClass."},
		{name: "max_hourly_cost", kinds: kindNumber, bounds: positive(), doc: "Highest price per node and hour, in USD."},
		{name: "volumes", kinds: kindList, doc: "Older form of disks."},
		{name: "_no_missing_accel_warnings", kinds: kindBool, internal: true},
		{name: "_cluster_config_overrides", kinds: kindMap, internal: true},
		{name: "_docker_login_config", kinds: kindMap, internal: true},
		{name: "_docker_username_for_runpod", kinds: kindText, internal: true},
		{name: "_is_image_managed", kinds: kindBool, internal: true},
		{name: "_requires_fuse", kinds: kindBool, internal: true},
	}
}

func staleResources() map[string]string {
	return map[string]string{
		"spot_recovery": "job_recovery", "hooks": "config.hooks at the top level of the task",
		"gpu": "accelerators", "accelerator": "accelerators", "cpu": "cpus", "mem": "memory", "spot": "use_spot",
		"image": "image_id", "port": "ports", "label": "labels", "disk": "disk_size", "num_nodes": "num_nodes at the top level of the task",
	}
}

func resourcesTable() *table {
	return &table{
		title: "resources", path: "resources", dropNull: true, stale: staleResources(),
		doc: "Keys given as null take the default. Keys beside `any_of` or `ordered` are defaults for every alternative; labels are merged.",
		fields: append([]field{
			{name: "any_of", kinds: kindList, typ: "list of resources", doc: "Alternatives; the cheapest is taken."},
			{name: "ordered", kinds: kindList, typ: "list of resources", doc: "Alternatives, tried in this order. Not together with any_of."},
		}, resourceFields()...),
	}
}

// alternativeTable is one entry of any_of or ordered.
func alternativeTable() *table {
	return &table{title: "an alternative", dropNull: true, stale: staleResources(), fields: resourceFields()}
}

func acceleratorArgsTable() *table {
	return &table{
		title: "accelerator_args", path: "resources.accelerator_args", dropNull: true,
		fields: []field{
			{name: "runtime_version", kinds: kindText | kindNumber, doc: "TPU software version."},
			{name: "tpu_name", kinds: kindText, doc: "Name of the TPU node."},
			{name: "tpu_vm", kinds: kindBool, def: "true", doc: "TPU VM rather than TPU node."},
			{name: "gcp_queued_resource", kinds: kindBool, doc: "Use a queued resource."},
		},
	}
}

func autostopTable() *table {
	return &table{
		title: "autostop", path: "resources.autostop",
		fields: []field{
			{name: "idle_minutes", kinds: kindInt, def: "0, which acts as 1", doc: "Idle time. -1 cancels."},
			{name: "down", kinds: kindBool, def: "false", doc: "Delete rather than stop."},
			{name: "wait_for", kinds: kindText, choices: []string{"jobs_and_ssh", "jobs", "none"}, fold: true, def: "jobs_and_ssh", doc: "What counts as activity."},
			{name: "hook", kinds: kindText, doc: "Older form of config.hooks."},
			{name: "hook_timeout", kinds: kindInt, bounds: atLeast(1, "at least 1"), doc: "Older form of config.hooks, in seconds."},
		},
	}
}

func jobRecoveryTable() *table {
	return &table{
		title: "job_recovery", path: "resources.job_recovery", open: true,
		fields: []field{
			{name: "strategy", kinds: kindText, null: true, doc: "FAILOVER or EAGER_NEXT_REGION."},
			{name: "max_restarts_on_errors", kinds: kindInt, bounds: atLeast(0, "at least 0"), def: "0", doc: "Restarts after the user's own errors."},
			{name: "recover_on_exit_codes", kinds: kindInt | kindList, bounds: exitCodes(), typ: "0 to 255, or a list of those", doc: "Exit codes that always restart the job."},
		},
	}
}

func exitCodes() *bounds { return &bounds{min: 0, max: 255, text: "between 0 and 255"} }

func gitTable() *table {
	return &table{
		title: "workdir", path: "workdir",
		stale: map[string]string{"branch": "ref", "tag": "ref", "commit": "ref", "repo": "url"},
		fields: []field{
			{name: "url", kinds: kindText, required: true, doc: "https, ssh or scp form."},
			{name: "ref", kinds: kindText, doc: "Branch, tag or commit."},
		},
	}
}
