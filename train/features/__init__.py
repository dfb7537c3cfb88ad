"""Published networks whose activations losses and judges compare."""
