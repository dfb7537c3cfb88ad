"""What was gained and what was lost: measure, report, compare."""
