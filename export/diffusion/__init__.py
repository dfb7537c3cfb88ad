"""Somebody's Stable Diffusion folder as a bundle that stylizes pictures."""
