# make run and make test set up everything that they need in .venv. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=

.PHONY: run test lint format golden docs stubs bench device-test clean

run: $(VENV)/installed
	@if $(BIN)/python -c 'import pynvml; pynvml.nvmlInit()' 2>/dev/null; \
	then exec $(BIN)/python -m exporter $(ARGS); \
	else exec $(BIN)/python -m exporter --mock $(ARGS); fi

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Writes the golden scrapes anew; the diff is the review.
golden: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/golden --regenerate

# Writes what is generated from code and tables: exporter/fields.py, docs/flags.md, the tables of chart/README.md.
docs: $(VENV)/installed-dev
	$(BIN)/python tools/generate_fields.py > exporter/fields.py
	$(BIN)/python -m exporter.cli.flags_doc > docs/flags.md
	$(BIN)/python tools/chart_readme.py

# Writes the Python messages of kubelet's APIs anew, after a change of a .proto file.
stubs: $(VENV)/installed-dev
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. podresources/v1/podresources.proto tests/kubelet/v1beta1/deviceplugin.proto

bench: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/benchmarks -W ignore --benchmark-columns=min,median,max $(ARGS)

# On a machine with a real GPU only.
device-test: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/device $(ARGS)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-3.* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.PHONY: tools kubelet-test

# Builds the real Kubernetes parts that tests run, into a cache outside the tree. ARGS names groups; all without it.
tools:
	$(PYTHON) -m tests.tools.build $(ARGS)

# On Linux, as root. A real kubelet, in a network of its own; installs and builds what is missing.
kubelet-test: $(VENV)/installed-dev
	$(BIN)/python -m tests.kubelet $(ARGS)

.PHONY: chart-test chart-helms

# On Linux, as root. The chart in a real cluster; builds and fetches what is missing. ARGS=--regenerate writes tests/chart/golden anew.
chart-test: $(VENV)/installed-dev
	$(BIN)/python -m tests.chart $(ARGS)

# The same machine, shorter: lint, rendering and goldens with every helm from the oldest that the chart's README promises.
chart-helms: $(VENV)/installed-dev
	$(BIN)/python -m tests.chart --all-helms -k any_helm $(ARGS)

.PHONY: image lock

# On Linux, as root, with buildah and mmdebstrap: the container image as an archive. No daemon, no registry.
image:
	$(PYTHON) -m tools.image $(or $(ARGS),dist/gpu-metrics-exporter.tar)

# The image's dependencies and their hashes. Versions stay where they can; ARGS=--upgrade takes the newest that are allowed.
lock: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --no-python-downloads --generate-hashes \
		--custom-compile-command 'make lock' --output-file requirements.lock $(ARGS) pyproject.toml

.PHONY: demo reaction

# On Linux, as root. The whole chain to play with: docs/demo.md. Builds and fetches what is missing.
demo: $(VENV)/installed-dev
	@$(BIN)/python -m tests.e2e.demo

# On Linux, as root, half an hour. Measures the reaction time, and writes the figures into docs/reaction-time.md.
reaction: $(VENV)/installed-dev
	$(BIN)/python -m tests.e2e.reaction build/reaction $(ARGS)

.PHONY: e2e e2e-full

# On Linux, as root. The whole chain from mock GPUs to autoscalers: docs/testing-e2e.md. Builds and fetches what is missing.
e2e: $(VENV)/installed-dev
	$(BIN)/python -m tests.e2e $(ARGS)

# The same, with every case.
e2e-full: $(VENV)/installed-dev
	$(BIN)/python -m tests.e2e --full $(ARGS)
