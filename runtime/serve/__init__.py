"""The video daemon: cameras in, stylized pictures out, steered while it runs."""
