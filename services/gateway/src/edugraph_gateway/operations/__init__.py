"""What an operator asks for: health, figures, the results of tasks, jobs that go on, dead letters."""
