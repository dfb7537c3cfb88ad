"""Reports and comparisons as people and other programs read them: pages, Markdown, files."""
