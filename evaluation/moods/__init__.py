"""Messages with a mood, and how far two labellings of them agree."""
