"""The Open Inference Protocol v2 over HTTP: pictures in, pictures out, for unmodified clients."""
