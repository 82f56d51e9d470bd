"""How every figure looks: axes, colours, words, files."""
