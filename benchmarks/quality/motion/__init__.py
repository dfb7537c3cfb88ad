"""Pictures that follow each other: what compression did to how they move."""
