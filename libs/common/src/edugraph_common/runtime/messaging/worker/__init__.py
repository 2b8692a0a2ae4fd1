"""Extensions of Celery's worker: dead letters, circuit breaker, reject policy, health, shutdown."""
