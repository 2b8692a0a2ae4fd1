"""What a model must answer, whether its evidence is in the text, and the finding that an answer becomes."""
