# make run and make test set up everything that they need in .venv. PYTHON chooses the interpreter, ARGS goes to the command.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL = help
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off

# `make help` prints what follows two number signs.
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run test lint format golden docs stubs bench device-test clean

run: $(VENV)/installed ## serve http://localhost:9400/metrics, with mock GPUs if there are no real ones
	@if $(BIN)/python -c 'import pynvml; pynvml.nvmlInit()' 2>/dev/null; \
	then exec $(BIN)/python -m exporter $(ARGS); \
	else exec $(BIN)/python -m exporter --mock $(ARGS); fi

# Four at a time also on two cores: tests of the whole program spend half of their time waiting for it.
test: $(VENV)/installed-dev ## run the fast tests, four at a time
	$(BIN)/python -m pytest --numprocesses=4 $(ARGS)

lint: $(VENV)/installed-dev ## run ruff, mypy --strict and the checks of prose
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tools/prose.py
	$(BIN)/python tools/phrases.py

format: $(VENV)/installed-dev ## let ruff fix what it can, and wrap long lines of prose
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python tools/prose.py --wrap

golden: $(VENV)/installed-dev ## regenerate the golden scrapes; review the diff
	$(BIN)/python -m pytest tests/golden --regenerate

docs: $(VENV)/installed-dev ## regenerate fields.py, docs/flags.md, docs/fields.md, the chart's tables, the plot, the version
	$(BIN)/python tools/generate_fields.py > exporter/fields.py
	$(BIN)/python tools/fields_doc.py > docs/fields.md
	$(BIN)/python -m exporter.cli.flags_doc > docs/flags.md
	$(BIN)/python -m tools.chart_known
	$(BIN)/python tools/chart_readme.py
	$(BIN)/python tools/duty_plot.py
	$(BIN)/python -m tools.write_version

stubs: $(VENV)/installed-dev ## regenerate the Python messages of kubelet's APIs after a change of a .proto file
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. podresources/v1/podresources.proto podresources/v1beta1/deviceplugin.proto tests/kubelet/dra_v1/*.proto

bench: $(VENV)/installed-dev ## measure how long a collection, a page and attribution take
	$(BIN)/python -m pytest tests/benchmarks -W ignore --benchmark-columns=min,median,max $(ARGS)

device-test: $(VENV)/installed-dev ## run the tests on a real GPU
	$(BIN)/python -m pytest tests/device $(ARGS)

$(VENV)/installed: pyproject.toml
	@echo "== setting up $(VENV) and what the exporter needs; the first time this takes a minute"
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "== installing what tests and checks need into $(VENV)"
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

clean: ## remove everything built here, except caches outside the tree
	rm -rf $(VENV) .venv-3.* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.PHONY: tools kubelet-test

# Builds the real Kubernetes parts that tests run, into a cache outside the tree. ARGS names groups; all without it.
tools: ## build the real Kubernetes components for tests; ARGS selects groups
	$(PYTHON) -m tests.tools.build $(ARGS)

# On Linux, as root. A real kubelet, in a network of its own; installs and builds what is missing.
kubelet-test: $(VENV)/installed-dev ## run the tests on a real kubelet (root, Linux)
	$(BIN)/python -m tests.kubelet $(ARGS)

.PHONY: chart-test chart-helms

# On Linux, as root. The chart in a real cluster; builds and fetches what is missing. ARGS=--regenerate rewrites tests/chart/golden.
chart-test: $(VENV)/installed-dev ## test the chart on real Kubernetes components (root, Linux)
	$(BIN)/python -m tests.chart --numprocesses=2 --dist=loadfile $(ARGS)

# The same machine, shorter: lint, rendering and goldens with every helm from the oldest that the chart's README promises.
chart-helms: $(VENV)/installed-dev ## test the chart with other versions of helm
	$(BIN)/python -m tests.chart --numprocesses=2 --all-helms -k any_helm $(ARGS)

.PHONY: rules

# For a Prometheus without the chart. Takes the helm on the PATH, or builds one with Go.
rules: $(VENV)/installed ## write alerts, the adapter's rules and dashboards as files into dist/
	$(BIN)/python -m tools.release.chart_files dist

.PHONY: image release lock

# On Linux, as root, with buildah and mmdebstrap: the container image as an archive. No daemon, no registry. ARCH=arm64
# puts one together for that architecture.
image: ## build the container image as an archive (root, Linux)
	$(PYTHON) -m tools.image $(if $(ARCH),--arch $(ARCH)) $(or $(ARGS),dist/gpu-metrics-exporter$(if $(ARCH),-$(ARCH)).tar)

# On Linux, as root, of a commit: all that is published, in dist/. docs/releases.md says how to publish it.
release: $(VENV)/installed-dev ## build wheel, sdist, images, chart, dashboards, rules, SBOMs, checksums (root, Linux)
	$(BIN)/python -m tools.release dist

# The image's dependencies and their hashes. Versions stay where they can; ARGS=--upgrade takes the newest that are allowed.
lock: $(VENV)/installed ## update the image's dependencies and their hashes
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.13 --no-python-downloads --generate-hashes \
		--custom-compile-command 'make lock' --extra kubernetes --extra top --output-file requirements.lock $(ARGS) pyproject.toml

.PHONY: demo reaction

# On Linux, as root. The whole chain to play with: docs/demo.md. Builds and fetches what is missing.
demo: $(VENV)/installed-dev ## run the whole chain to try it out: docs/demo.md (root, Linux)
	@$(BIN)/python -m tests.e2e.demo

# On Linux, as root, half an hour. Measures the reaction time, and writes the figures into docs/reaction-time.md.
reaction: $(VENV)/installed-dev ## measure the reaction time, takes half an hour (root, Linux)
	$(BIN)/python -m tests.e2e.reaction build/reaction $(ARGS)

.PHONY: e2e e2e-full

# On Linux, as root. The whole chain from mock GPUs to autoscalers: docs/testing-e2e.md. Builds and fetches what is missing.
e2e: $(VENV)/installed-dev ## test the whole chain from mock GPUs to autoscalers (root, Linux)
	$(BIN)/python -m tests.e2e $(ARGS)

e2e-full: $(VENV)/installed-dev ## the same, with all cases
	$(BIN)/python -m tests.e2e --full $(ARGS)

.PHONY: bare-metal-test

# On Linux, as root, five to eight minutes, with systemd-container and mmdebstrap, which it installs: the commands of
# docs/bare-metal.md under a systemd of their own, and its scripts under a slurmd.
bare-metal-test: $(VENV)/installed-dev ## docs/bare-metal.md on Debian 12 and 13, with systemd (root, Linux)
	$(BIN)/python -m pytest tests/bare_metal $(ARGS)

.PHONY: otel-test

# Needs Go; the first run builds the collector and Prometheus. docs/opentelemetry.md has the times.
otel-test: $(VENV)/installed-dev ## packaging/opentelemetry in a real OpenTelemetry Collector
	$(BIN)/python -m pytest tests/otel $(ARGS)
