"""Students: distil, fold, quantize."""
