"""Every figure that README and docs quote, as rows that a command measures again."""
