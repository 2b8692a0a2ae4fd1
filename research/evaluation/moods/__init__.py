"""Messages with a mood, and the agreement of their two labellings."""
