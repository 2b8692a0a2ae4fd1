"""The work for operators: health, figures, results of tasks, resuming of jobs, and dead letters."""
