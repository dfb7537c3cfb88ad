"""A process that loads one compiler's library and makes its runtime, so that no other one breaks."""

from __future__ import annotations

import sys

from stylepress.runtime.nvidia.package import load

if __name__ == "__main__":
    trt = load(sys.argv[1])
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    del runtime  # a broken one ends the process here
    sys.stdout.write(f"{trt.__version__}\n")
