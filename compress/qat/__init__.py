"""Training on in the rounding of INT8."""
