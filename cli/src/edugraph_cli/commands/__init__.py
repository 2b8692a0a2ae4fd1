"""The commands, one module for each kind of thing. Heavy libraries are loaded inside the command that needs them."""
