"""Teachers: networks, losses, photos, training loops, checkpoints."""
