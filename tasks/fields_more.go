package tasks

func storageTable() *table {
	return &table{
		title: "a storage object", path: "file_mounts.DESTINATION",
		fields: []field{
			{name: "name", kinds: kindText, null: true, doc: "Bucket name."},
			{name: "source", kinds: kindText | kindList, null: true, typ: "path or URI, or a list of paths", doc: "What the bucket holds."},
			{name: "store", kinds: kindText, null: true, choices: []string{"S3", "GCS", "AZURE", "R2", "IBM", "OCI", "NEBIUS", "COREWEAVE", "VASTDATA", "HF", "VOLUME"}, fold: true, doc: "Kind of bucket."},
			{name: "persistent", kinds: kindBool, def: "true", doc: "false deletes the bucket with the cluster."},
			{name: "mode", kinds: kindText, choices: []string{"MOUNT", "COPY", "MOUNT_CACHED"}, fold: true, def: "MOUNT", doc: "How files appear on the node."},
			{name: "type", kinds: kindText, choices: []string{"MODEL_CHECKPOINT_RO", "MODEL_CHECKPOINT_RW", "DATASET_RO", "DATASET_RW"}, fold: true, doc: "A preset for MOUNT_CACHED."},
			{name: "config", kinds: kindMap, table: storageConfigTable(), doc: "Options of the mount."},
			{name: "_is_sky_managed", kinds: kindBool, internal: true},
			{name: "_bucket_sub_path", kinds: kindText, null: true, internal: true},
			{name: "_force_delete", kinds: kindBool, internal: true},
		},
	}
}

func storageConfigTable() *table {
	size := "size such as 64M"
	return &table{
		title: "config of a storage object", path: "file_mounts.DESTINATION.config",
		fields: []field{
			{name: "mount", kinds: kindMap, doc: "Options of MOUNT.", table: &table{title: "config.mount", path: "file_mounts.DESTINATION.config.mount", fields: []field{
				{name: "read_only", kinds: kindBool, doc: "Mount without write access."},
			}}},
			{name: "mount_cached", kinds: kindMap, doc: "Options of MOUNT_CACHED.", table: &table{title: "config.mount_cached", path: "file_mounts.DESTINATION.config.mount_cached", fields: []field{
				{name: "transfers", kinds: kindInt, bounds: atLeast(1, "at least 1"), doc: "Parallel transfers."},
				{name: "buffer_size", kinds: kindText, typ: size, doc: "Read buffer per file."},
				{name: "vfs_cache_max_size", kinds: kindText, typ: size, doc: "Size of the cache."},
				{name: "vfs_cache_max_age", kinds: kindText, typ: "duration such as 1h", doc: "Age of cached files."},
				{name: "vfs_read_ahead", kinds: kindText, typ: size, doc: "Read ahead."},
				{name: "vfs_read_chunk_size", kinds: kindText, typ: size, doc: "Size of a read."},
				{name: "vfs_read_chunk_streams", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Parallel reads of one file."},
				{name: "vfs_write_back", kinds: kindText, typ: "duration such as 5s", doc: "Delay before upload."},
				{name: "read_only", kinds: kindBool, doc: "Mount without write access."},
			}}},
		},
	}
}

func volumeTable() *table {
	return &table{
		title: "a volume", path: "volumes.MOUNT_PATH",
		fields: []field{
			{name: "name", kinds: kindText, doc: "An existing volume."},
			{name: "size", kinds: kindText | kindInt, typ: "size such as 10GB", doc: "Makes the volume ephemeral."},
			{name: "sub_path", kinds: kindText, doc: "Directory inside the volume."},
			{name: "type", kinds: kindText, doc: "k8s-pvc, k8s-hostpath or runpod-network-volume."},
			{name: "infra", kinds: kindText, doc: "Where the volume lives."},
			{name: "labels", kinds: kindMap, doc: "Tags of the volume."},
			{name: "use_existing", kinds: kindBool, doc: "Take a volume that exists already."},
			{name: "config", kinds: kindMap, doc: "Options of the provider."},
		},
	}
}

func serviceTable() *table {
	return &table{
		title: "service", path: "service", stale: map[string]string{"min_replicas": "replica_policy.min_replicas", "max_replicas": "replica_policy.max_replicas"},
		fields: []field{
			{name: "readiness_probe", kinds: kindText | kindMap, table: probeTable(), typ: "path, or a map", def: "/", doc: "How to tell that a replica is ready."},
			{name: "replicas", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Fixed number of replicas; not together with replica_policy."},
			{name: "replica_policy", kinds: kindMap, table: policyTable(), doc: "Autoscaling."},
			{name: "ports", kinds: kindInt | kindText, doc: "Port of the service, when not the one in resources."},
			{name: "load_balancing_policy", kinds: kindText, choices: []string{"round_robin", "least_load", "instance_aware_least_load"}, fold: true, def: "least_load", doc: "How requests are spread."},
			{name: "load_balancer", kinds: kindMap, doc: "Options of the load balancer.", table: &table{title: "load_balancer", path: "service.load_balancer", fields: []field{
				{name: "stream_timeout_seconds", kinds: kindNumber, bounds: positive(), def: "120", doc: "Longest silence of a stream."},
			}}},
			{name: "tls", kinds: kindMap, doc: "Certificate of the endpoint.", table: &table{title: "tls", path: "service.tls", fields: []field{
				{name: "keyfile", kinds: kindText, doc: "Path of the key."},
				{name: "certfile", kinds: kindText, doc: "Path of the certificate."},
			}}},
		},
	}
}

func probeTable() *table {
	return &table{
		title: "readiness_probe", path: "service.readiness_probe",
		fields: []field{
			{name: "path", kinds: kindText, required: true, doc: "Starts with /."},
			{name: "post_data", kinds: kindText | kindMap, typ: "map, or JSON text", doc: "Body; makes the probe a POST."},
			{name: "headers", kinds: kindMap, doc: "Request headers."},
			{name: "initial_delay_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "1200", doc: "Time before failures count."},
			{name: "timeout_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "15", doc: "Time for one answer."},
			{name: "endpoint_probe_interval_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "10", doc: "Time between probes."},
			{name: "consecutive_failure_threshold_timeout", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "180", doc: "Failing time after which a replica counts as lost."},
		},
	}
}

func policyTable() *table {
	return &table{
		title: "replica_policy", path: "service.replica_policy",
		fields: []field{
			{name: "min_replicas", kinds: kindInt, bounds: atLeast(0, "at least 0"), required: true, doc: "Lower limit."},
			{name: "max_replicas", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Upper limit."},
			{name: "num_overprovision", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Spare replicas."},
			{name: "target_qps_per_replica", kinds: kindNumber | kindMap, bounds: positive(), typ: "number, or map of GPU to number", doc: "Load one replica takes."},
			{name: "queue_length_threshold", kinds: kindInt, bounds: atLeast(1, "at least 1"), doc: "Queue length that adds a replica."},
			{name: "upscale_delay_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "300", doc: "Patience before growing."},
			{name: "downscale_delay_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), def: "1200", doc: "Patience before shrinking."},
			{name: "dynamic_ondemand_fallback", kinds: kindBool, doc: "Replace lost spot replicas by on-demand ones."},
			{name: "base_ondemand_fallback_replicas", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Replicas that are always on demand."},
			{name: "spot_placer", kinds: kindText, doc: "How spot replicas are spread."},
		},
	}
}

func poolTable() *table {
	return &table{
		title: "pool", path: "pool",
		fields: []field{
			{name: "workers", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Fixed number of workers."},
			{name: "min_workers", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Lower limit; needs max_workers."},
			{name: "max_workers", kinds: kindInt, bounds: atLeast(0, "at least 0"), doc: "Upper limit; needs min_workers."},
			{name: "queue_length_threshold", kinds: kindInt, bounds: atLeast(1, "at least 1"), def: "1", doc: "Queue length that adds a worker."},
			{name: "upscale_delay_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), doc: "Patience before growing."},
			{name: "downscale_delay_seconds", kinds: kindNumber, bounds: atLeast(0, "at least 0"), doc: "Patience before shrinking."},
		},
	}
}

func configTable() *table {
	sub := func(name, doc string, fields ...field) field {
		return field{name: name, kinds: kindMap, doc: doc, table: &table{title: "config." + name, path: "config." + name, fields: fields}}
	}
	free := func(name string, kinds kind, doc string) field { return field{name: name, kinds: kinds, doc: doc} }
	metadata := free("custom_metadata", kindMap, "Extra labels and annotations.")
	pod := free("pod_config", kindMap, "Merged into the pod.")
	timeout := field{name: "provision_timeout", kinds: kindInt, doc: "Seconds to wait for a place; -1 for ever."}
	identity := free("remote_identity", kindText|kindMap|kindList, "LOCAL_CREDENTIALS, SERVICE_ACCOUNT, NO_UPLOAD, or a name.")
	nested := func(name, doc string, fields ...field) field {
		return field{name: name, kinds: kindMap, doc: doc, table: &table{title: name, fields: fields}}
	}
	return &table{
		title: "config", path: "config",
		doc: "Only these keys may be set by a task.",
		fields: []field{
			{name: "hooks", kinds: kindList, typ: "list of hooks", table: hookTable(), doc: "Lifecycle hooks, at most 32."},
			{name: "active_workspace", kinds: kindText, doc: "Workspace of the task."},
			sub("docker", "Docker.", free("run_options", kindText|kindList, "Extra options of docker run.")),
			sub("nvidia_gpus", "NVIDIA GPUs.", free("disable_ecc", kindBool, "Turn ECC memory off.")),
			sub("ssh", "SSH pools.", metadata, pod, timeout),
			sub("kubernetes", "Kubernetes.", metadata, pod, timeout,
				nested("dws", "Dynamic workload scheduler.", free("enabled", kindBool, ""), free("max_run_duration", kindText, "")),
				nested("kueue", "Kueue.", free("local_queue_name", kindText, "")),
				nested("quota", "Quota.", free("queue", kindText, "")),
				identity,
				free("enable_docker", kindBool|kindText|kindMap, "Docker inside the pod."),
				free("set_pod_resource_limits", kindBool|kindNumber, "Set limits as well as requests.")),
			sub("azure", "Azure.", identity, free("vpc_name", kindText, "Network.")),
			sub("gcp", "GCP.", free("vpc_name", kindText, "Network."), free("subnet_names", kindText|kindList, "Subnets."),
				nested("managed_instance_group", "Queued GPUs.",
					field{name: "run_duration", kinds: kindInt, required: true}, field{name: "provision_timeout", kinds: kindInt}),
				free("enable_gvnic", kindBool, "gVNIC."), free("enable_gpu_direct", kindBool, "GPUDirect."),
				free("placement_policy", kindText, "Placement policy.")),
			sub("vast", "Vast.", free("datacenter_only", kindBool, "Data-centre hosts only."), free("create_instance_kwargs", kindMap, "Extra options.")),
			sub("slurm", "Slurm.", free("sbatch_options", kindMap|kindList|kindText, "Extra sbatch options."), free("cpu_partition", kindText, "Partition of CPU jobs.")),
		},
	}
}

func hookTable() *table {
	return &table{
		title: "a hook", path: "config.hooks[]",
		fields: []field{
			{name: "run", kinds: kindText, required: true, typ: "bash text of 1 to 16384 characters", doc: "What to run on the head node."},
			{name: "events", kinds: kindList, typ: "list of stop, preemption, down", def: "all three", doc: "When to run it."},
			{name: "timeout", kinds: kindInt, bounds: atLeast(1, "at least 1"), def: "3600", doc: "Seconds."},
		},
	}
}

func testTable() *table {
	text := kindText
	return &table{
		title: "a test", path: "tests[]",
		doc: "One document of `sky test`, see suites.md.",
		fields: []field{
			{name: "name", kinds: text, ours: true, doc: "Label of the result."},
			{name: "kind", kinds: text, ours: true, def: "tabular", doc: "Kind of data."},
			{name: "suites", kinds: kindList | text, ours: true, typ: "list of names, or of maps that name a suite and change it", doc: "Suites to run."},
			{name: "train", kinds: text | kindList | kindMap, ours: true, typ: "a path, a list of them, or of images a map", doc: "Training data, relative to the workdir."},
			{name: "test", kinds: text | kindList | kindMap, ours: true, typ: "as train", doc: "Test data."},
			{name: "label", kinds: kindScalar, ours: true, doc: "Target column."},
			{name: "task_type", kinds: text, ours: true, doc: "binary, multiclass or regression; of images and texts see image-checks.md and text-checks.md."},
			{name: "features", kinds: kindList, ours: true, doc: "Columns to use."},
			{name: "categorical", kinds: kindList, ours: true, doc: "Columns that are categories."},
			{name: "index", kinds: kindScalar | kindBool, ours: true, doc: "Index column."},
			{name: "datetime", kinds: kindScalar, ours: true, doc: "Time column."},
			{name: "dtypes", kinds: kindMap, ours: true, doc: "Types of columns."},
			{name: "na_values", kinds: kindList | kindScalar, ours: true, doc: "Texts that mean missing."},
			{name: "classes", kinds: kindList, ours: true, doc: "Known classes, in order."},
			{name: "predictions", kinds: kindMap, ours: true, typ: "map with train and test; of texts also with column and proba", doc: "Files with the model's predictions."},
			{name: "seed", kinds: kindInt, ours: true, doc: "Seed of sampling."},
			{name: "fail_on", kinds: text, ours: true, choices: []string{"fail", "warn", "never"}, def: "fail", doc: "From which outcome on the job fails."},
			{name: "checks", kinds: kindList, ours: true, doc: "Single checks with parameters and conditions."},
			{name: "include", kinds: kindList | text, ours: true, typ: "list of files", doc: "Files with definitions of suites, relative to the workdir."},
			{name: "define", kinds: kindMap, ours: true, doc: "Suites of one's own: name to list of suites and checks."},
			{name: "schema", kinds: kindMap | text, ours: true, typ: "a schema, or a file with one", doc: "What the columns must be like."},
			{name: "segments", kinds: kindList, ours: true, typ: "list of maps with column and bins", doc: "Parts of the data that are checked by themselves."},
			{name: "segment_by", kinds: kindScalar, ours: true, typ: "a column", doc: "Short for segments with this column."},
			{name: "datetime_unit", kinds: text, ours: true, doc: "Unit of a time column of numbers."},
			{name: "suite_params", kinds: kindMap, ours: true, doc: "Parameters of suites."},
			{name: "csv", kinds: kindMap, ours: true, doc: "How CSV files are written."},
			{name: "max_rows_in_memory", kinds: kindInt, ours: true, doc: "Rows above which a table is kept in part."},
			{name: "model", kinds: kindMap | kindList | text, ours: true, doc: "A live model, as a command."},
			{name: "models", kinds: kindMap, ours: true, doc: "Models to compare."},
			{name: "feature_importance", kinds: kindMap | kindList | text, ours: true, doc: "Importances of the features."},
			{name: "feature_importance_timeout", kinds: kindScalar, ours: true, doc: "How long importances may take."},
			{name: "feature_importance_force_permutation", kinds: kindBool, ours: true, doc: "Permute although the model has importances of its own."},
			{name: "label_map", kinds: kindMap | kindList | text, ours: true, doc: "Images: names of the classes."},
			{name: "max_samples", kinds: kindInt, ours: true, doc: "Images: how many are looked at."},
			{name: "text", kinds: text, ours: true, doc: "Texts: their column."},
			{name: "tokens", kinds: text, ours: true, doc: "Texts: the column of lists of tokens."},
			{name: "metadata", kinds: kindList | kindMap | text, ours: true, doc: "Texts: columns of metadata, or files with them."},
			{name: "categorical_metadata", kinds: kindList, ours: true, doc: "Texts: metadata that are categories."},
			{name: "properties", kinds: kindList | kindMap | text, ours: true, doc: "Texts: which properties are computed or given."},
			{name: "categorical_properties", kinds: kindList, ours: true, doc: "Texts: properties that are categories."},
			{name: "embeddings", kinds: kindMap | text, ours: true, doc: "Texts: columns or files of embeddings."},
			{name: "vocabulary", kinds: text, ours: true, doc: "Texts: the file of a WordPiece tokenizer's words."},
			{name: "compat", kinds: text, ours: true, doc: "deepchecks: reproduce its known defects."},
		},
	}
}

func budgetTable() *table {
	return &table{
		title: "budget", path: "budget", dropNull: true,
		fields: []field{
			{name: "max_cost", kinds: kindNumber | kindText, bounds: positive(), ours: true, typ: "USD", doc: "Cost of the whole run."},
			{name: "max_hourly_cost", kinds: kindNumber | kindText, bounds: positive(), ours: true, typ: "USD per hour", doc: "Price of all nodes together."},
			{name: "max_duration", kinds: kindText | kindInt, bounds: positive(), ours: true, typ: "duration such as 30m, 2h or 1d; a bare number is minutes", doc: "Wall-clock time of the run."},
		},
	}
}
