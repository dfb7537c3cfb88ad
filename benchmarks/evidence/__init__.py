"""What maintainers measure: the figures of README and docs, and a demonstration; not in the wheel."""
