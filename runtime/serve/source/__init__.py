"""Where frames come from: one child process for each source, and the thread that keeps it alive."""
