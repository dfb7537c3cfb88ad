# demo: one style from its teacher to a stylized video and a report.   test: check, then all tests.
# figures: measure the rows of README's table here (6 minutes).        check: lint, format, types.
# results: measure every figure that README and docs quote, and write them into both (20 minutes).
# Each makes .venv by itself when it is missing or pyproject.toml has changed.
# Another Python: `make test PYTHON=python3.12`. A CUDA build of torch: `make test CONSTRAINTS=`.

PYTHON ?= python3
BIN := .venv/bin

# Without a GPU, torch stays at the version for which a CPU build is offered.
CONSTRAINTS ?= $(if $(shell command -v nvidia-smi 2>/dev/null),,constraints-cpu.txt)
# The TensorRT-for-RTX compiler needs no GPU, but exists for this platform only.
EXTRAS ?= all$(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),$(comma)rtx)
comma := ,
STAMP := .venv/installed-$(firstword $(shell cat pyproject.toml constraints-cpu.txt Makefile | cksum))

.PHONY: demo test check lint figures results

# The commands of a user. Nothing comes from the cache: what is shown is done.
demo: $(STAMP)
	$(BIN)/stylepress build recipes/demo.yaml --no-cache --out demo/demo
	$(BIN)/stylepress run demo/demo/bundle recipes/photos/heldout demo/pictures --overwrite
	$(BIN)/python -m stylepress.benchmarks.evidence.clip recipes/photos/heldout demo/clip.mp4
	$(BIN)/stylepress run demo/demo/bundle demo/clip.mp4 demo/clip.demo.mp4 --overwrite
	mkdir -p demo/photos
	cp recipes/photos/heldout/astronaut.jpg recipes/photos/heldout/inn.jpg recipes/photos/heldout/raccoon.jpg demo/photos
	$(BIN)/stylepress bench demo/demo/bundle --student demo/demo/student --teacher demo/demo/teacher \
	  --photos demo/photos --style recipes/styles/glass.png --rounds 6 --out demo/report
	@echo "Look at demo/pictures, demo/clip.demo.mp4 and demo/report/report.html."

figures: $(STAMP)
	$(BIN)/python -m stylepress.benchmarks.evidence figures

results: $(STAMP)
	$(BIN)/python -m stylepress.benchmarks.evidence --write

# A process for each core, up to four; a file's tests stay in one. `ARGS=-n0` runs all in this one.
# Types are checked beside the tests, and told at the end.
test: lint
	@$(BIN)/mypy > .venv/types 2>&1 & types=$$!; \
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS); tests=$$?; \
	wait $$types; types=$$?; cat .venv/types; exit $$((tests + types))

check: lint
	$(BIN)/mypy

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(STAMP):
	@echo "Installing into .venv; the first time this takes a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "$(PYTHON) cannot make a .venv. Install its venv package (python3-venv)."; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' 'setuptools>=77'
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --group dev $(CONSTRAINTS:%=--constraint %)
	@rm -f .venv/installed-*
	@touch $@
