"""The commands, one module for each subject. Heavy libraries are loaded inside the command that needs them."""
