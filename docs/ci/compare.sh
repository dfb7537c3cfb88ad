#!/bin/sh
# The steps of a build server: compare two bundles, hand every form of the result on, pass the
# verdict's exit code through. The GitHub action, the GitLab job and our own tests run this file.
#
#   compare.sh BASE NEW OUT [option of `stylepress compare` ...]
#
# STYLEPRESS            how to call it; default: stylepress
# GITHUB_STEP_SUMMARY   set by GitHub: the job summary is appended there
# GITHUB_OUTPUT         set by GitHub: verdict and code are written there
set -u
if [ "$#" -lt 3 ]; then
  echo "usage: compare.sh BASE NEW OUT [option ...]" >&2
  exit 64
fi
base=$1 new=$2 out=$3
shift 3

code=0
# shellcheck disable=SC2086 # STYLEPRESS may be several words, e.g. "python -m stylepress"
${STYLEPRESS:-stylepress} compare "$base" "$new" --out "$out" "$@" || code=$?

if [ -f "$out/summary.md" ]; then
  if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$out/summary.md" >> "$GITHUB_STEP_SUMMARY"
  fi
  if [ -n "${GITHUB_ACTIONS:-}" ]; then
    cat "$out/annotations.txt"
  fi
fi
if [ -n "${GITHUB_OUTPUT:-}" ]; then
  case $code in
    0) verdict=pass ;; 1) verdict=fail ;; 2) verdict=not-comparable ;;
    3) verdict=inconclusive ;; *) verdict=error ;;
  esac
  { echo "verdict=$verdict"; echo "code=$code"; } >> "$GITHUB_OUTPUT"
fi
exit "$code"
