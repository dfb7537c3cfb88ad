"""How a model is used while it is measured: one frame at a time, a camera, a server, a batch."""
