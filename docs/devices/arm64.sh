#!/bin/sh
# Runs shipped bundles on an emulated arm64 processor and holds their pictures against this machine's.
#
#   docs/devices/arm64.sh [FOLDER]      FOLDER keeps what was downloaded; build/arm64 unless named
#
# Debian's own arm64 Python is unpacked beside the system (nothing is installed);
# the wheel of this checkout is installed into it with the aarch64 wheels that a device would get.
# Needs qemu-aarch64-static, apt-get, dpkg-deb, the network, and .venv (`make check`).
# Emulation shows that the code and the numbers are right on arm64. It says nothing about speed.
set -eu
cd "$(dirname "$0")/../.."
python=.venv/bin/python
work=${1:-build/arm64}
# The newest that runs under user emulation: later ones crash there.
onnxruntime=1.23.2
for tool in qemu-aarch64-static apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || {
    echo "$tool is not installed. Run: apt-get install qemu-user-static apt dpkg" >&2
    exit 2
  }
done
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/system" "$work/wheels"
work=$(cd "$work" && pwd)
touch "$work/apt/status"

arm_apt() {
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Debug::NoLocking=1 \
    -o APT::Install-Recommends=0 -o Dir::State::status="$work/apt/status" \
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt" -o APT::Sandbox::User="" "$@"
}
if ! [ -e "$work/unpacked" ]; then
  arm_apt update
  arm_apt install --download-only -y python3 libstdc++6
  for package in "$work"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$work/system"
  done
  touch "$work/unpacked"
fi
interpreter=$(ls "$work"/system/usr/bin/python3.* | head -1)
version=${interpreter##*python}

rm -rf "$work/site" "$work"/wheels/stylepress-*.whl
"$python" -m pip wheel -qqq --no-deps -w "$work/wheels" .
"$python" -m pip install -qqq --target "$work/site" --only-binary=:all: --python-version "$version" \
  --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
  "$work"/wheels/stylepress-*.whl "onnxruntime==$onnxruntime"

arm_python() {
  PYTHONPATH="$work/site" PYTHONDONTWRITEBYTECODE=1 \
    qemu-aarch64-static -L "$work/system" "$interpreter" "$@"
}
arm_python -c 'import platform, sys, onnxruntime
print("emulated:", platform.machine(), "Python", sys.version.split()[0], "onnxruntime", onnxruntime.__version__)'

"$python" - "$work/picture.png" <<'EOF'
import sys
from pathlib import Path

from PIL import Image

photo = min(Path("recipes/photos/heldout").glob("*.jpg"))
Image.open(photo).convert("RGB").resize((160, 112)).save(sys.argv[1])
EOF
# As they ship, and one lowered for arm64: there ONNX Runtime runs the convolutions in INT8.
"$python" -m stylepress build recipes/strokes/bundle --target arm64-cpu --out "$work/lowered" --quiet >/dev/null
for bundle in recipes/*/bundle "$work/lowered/bundle"; do
  style=$(basename "$(dirname "$bundle")")
  place=$(realpath "$bundle")
  rm -f "$work/$style-arm64.png" "$work/$style-here.png"
  (cd "$work" && arm_python -m stylepress run "$place" picture.png "$style-arm64.png" --backend onnxruntime >/dev/null)
  "$python" -m stylepress run "$bundle" "$work/picture.png" "$work/$style-here.png" --backend onnxruntime >/dev/null
  "$python" - "$style" "$work/$style-arm64.png" "$work/$style-here.png" <<'EOF'
import sys

import numpy as np
from PIL import Image

style, one, two = sys.argv[1:]
pictures = [np.asarray(Image.open(path), np.int16) for path in (one, two)]
gap = np.abs(pictures[0] - pictures[1])
print(f"{style}: largest difference {gap.max()} level, {np.count_nonzero(gap) / gap.size:.3%} of values differ")
sys.exit(0 if gap.max() <= 1 else 1)
EOF
done
