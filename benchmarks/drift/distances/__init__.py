"""Distances between two sets of pictures, or of the features of them."""
