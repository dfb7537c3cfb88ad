"""Folders of pictures to learn from: how they are laid out, what is in them, which are worth it."""
