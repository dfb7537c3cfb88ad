"""Formats of other programs: OpenVINO IR, archives of PyTorch, a model repository of Triton."""
