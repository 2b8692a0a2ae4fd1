"""`make evaluate`: the agreement of the analyzer's answers with people's labels of the same texts."""
