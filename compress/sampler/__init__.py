"""Diffusion models that draw in a few steps."""
