"""The figures that the README quotes, each measured again from what ships."""
