"""Pruning: which channels go, what is cut, and how the network recovers."""
