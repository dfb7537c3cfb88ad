"""INT8 after training, on ONNX graphs: ranges, equal channels, Q/DQ, repair."""
