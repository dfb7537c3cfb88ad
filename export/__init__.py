"""From a checkpoint to a bundle: frame graph, ONNX, verification."""
