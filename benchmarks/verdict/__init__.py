"""Is the new one worse? Paired runs in fresh processes, exact tests, a verdict with three values."""
