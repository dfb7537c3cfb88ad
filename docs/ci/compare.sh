#!/bin/sh
# The steps of a build server: compare two bundles, hand every form of the result on, pass the
# verdict's exit code through. The GitHub action, the GitLab job and our own tests run this file.
#
#   compare.sh BASE NEW OUT [option of `stylepress compare` ...]
#
# Without BASE, as before the first run of main has kept one, every form says so and nothing fails;
# `--missing-base fail` among the options changes that.
#
# STYLEPRESS            how to call it; default: stylepress
# LABELS                what both are called, "BASE,NEW"; default: the branches of the change
# GITHUB_STEP_SUMMARY   set by GitHub: the job summary is appended there
# GITHUB_OUTPUT         set by GitHub: verdict and code are written there
set -u
if [ "$#" -lt 3 ]; then
  echo "usage: compare.sh BASE NEW OUT [option ...]" >&2
  exit 64
fi
base=$1 new=$2 out=$3
shift 3

# What an earlier run left in the same folder is not this run's result.
for name in comparison.json comparison.html summary.md annotations.txt junit.xml rows.csv \
  github-smaller-is-better.json github-bigger-is-better.json; do
  rm -f "$out/$name"
done

labels=${LABELS:-}
if [ -z "$labels" ]; then
  to=${GITHUB_BASE_REF:-${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-}}
  from=${GITHUB_HEAD_REF:-${CI_MERGE_REQUEST_SOURCE_BRANCH_NAME:-}}
  [ -z "$to" ] || [ -z "$from" ] || labels=$to,$from
fi
# Options of the caller come last, so they count.
set -- --missing-base skip ${labels:+--labels "$labels"} "$@"

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
  # From the document: the exit code says what the options made of the verdict.
  verdict=error
  if [ -f "$out/comparison.json" ]; then
    verdict=$(sed -n 's/^ "verdict": "\(.*\)",$/\1/p' "$out/comparison.json" | tr 'A-Z ' 'a-z-')
  elif [ "$code" = 2 ]; then
    verdict=not-comparable
  fi
  { echo "verdict=$verdict"; echo "code=$code"; } >> "$GITHUB_OUTPUT"
fi
if [ "$code" = 1 ] && [ ! -f "$out/comparison.json" ]; then
  code=2 # it broke off: no verdict was written, so nothing was found to be worse
fi
exit "$code"
