"""Weights at rest: read safely, recognised by their keys, found in the standard places."""
