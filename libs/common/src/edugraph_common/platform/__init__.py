"""The base of every process: settings, logs, metrics, traces, the job store in Redis, and the object store."""
