"""What a target's engine wants of a graph: one checked rewrite a file, and what it cannot take."""
