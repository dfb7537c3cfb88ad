"""One picture by optimisation: the reference that every network is measured by."""
