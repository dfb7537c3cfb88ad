"""Trainings of the other models, a file each, on the one trainer."""
