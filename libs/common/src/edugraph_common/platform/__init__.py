"""What every process stands on: settings, logs, metrics, traces, the job store in Redis, the object store."""
