"""What a Celery worker adds to its tasks: dead letters, circuit breaker, reject policy, health, shutdown."""
