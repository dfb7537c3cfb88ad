"""What compression changed in the pictures: paired, as a distribution, and in motion."""
