"""What pictures are measured on and by: photos, clips of known motion, quality numbers."""
