"""What is sent to a language model: the prompts, the questions, and which knowledge points go with a text."""
