"""The answers of a model: their schema, the search for their evidence in the text, and the findings they become."""
