"""Networks of public repositories, a file each: layout, images, and the graphs that are exported."""
