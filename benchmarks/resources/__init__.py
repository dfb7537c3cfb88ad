"""What a model costs beside time: memory, energy, bytes and multiply-accumulates."""
