"""How far the analyzer's answers agree with what people wrote about the same texts: `make evaluate`."""
