# The two commands of the README are `make serve` and `make test`; both install first what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet
# Where torch comes from. Empty: the build for CPUs, or PyPI's, several GB larger, where that cannot be had.
TORCH_INDEX ?=
CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH := torch==2.13.0
# flags for the server: make serve SERVE_ARGS="--workers 2"
SERVE_ARGS ?=
# so many run at a time: tests wait for processes now and then, so one more than there are cores
TEST_PROCESSES ?= $(shell expr $$(nproc) + 1)
# A second thread of a process only takes a core from another test. Tests start hundreds of processes, so what they
# import is compiled once, also where the environment says otherwise.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# protoc finds its plugins on PATH
WITH_PLUGINS := PATH="$(CURDIR)/$(BIN):$$PATH"

# the example for Node, which the tests run; it is the one thing here that comes from npm
NODE := docs/examples/node
# Helm, Checkov and kubectl, which the tests of manifests run
MANIFESTS := .venv-manifests
# Ray Serve and the client, for the example that tests run; the server it starts is that of $(VENV)
RAY := .venv-ray
# Valkey 8, with what it needs of a later Debian
VALKEY := .valkey
REDIS_TESTS := $(addprefix tests/lstmserve_server/cache/,redis $(addprefix served/,test_cluster.py test_sentinel.py \
	test_outages.py test_replicas.py))

.PHONY: serve test test-reliability test-system test-valkey test-benchmarks test-containers check check-protos \
	install protos dashboards reference format clean

serve: $(VENV)/serving
	exec $(BIN)/lstmserve-server $(SERVE_ARGS)

# needs nothing but Python: Redis comes in a wheel
test: install
	$(PYTEST)

# what replies are worth when processes are killed, frozen, starved or flooded: minutes, and nothing but Python either
test-reliability: install
	$(PYTEST) -m "reliability and not system" tests/reliability

# a browser, proxies, Prometheus, Helm, Ray, Go and Node: installs what is missing, or says how to
test-system: install
	tests/install-programs
	$(MAKE) --no-print-directory $(NODE)/node_modules $(MANIFESTS)/installed $(RAY)/installed
	$(PYTEST) -m system

# what the cache does with Redis, with Valkey in its place: all the same, and with certificates
test-valkey: install
	tests/install-programs
	$(MAKE) --no-print-directory $(VALKEY)/valkey-server
	REDIS_SERVER=$(CURDIR)/$(VALKEY)/valkey-server $(PYTEST) -m "not benchmark" $(REDIS_TESTS)

# every benchmark in its shortest form, one after the other: they measure
test-benchmarks: install
	$(BIN)/python -m pytest -m benchmark

# docker-compose.yml in an engine of its own; as root, and prints what a machine lacks for it
test-containers: install
	PYTHON=$(abspath $(BIN)/python) TORCH_INDEX=$(TORCH_INDEX) tests/deploy/containers/run

check: install check-protos
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docker/helm/reference.py --check

check-protos: install
	$(BIN)/buf lint
	$(WITH_PLUGINS) $(BIN)/python protos/generate.py --check

protos: install
	$(WITH_PLUGINS) $(BIN)/python protos/generate.py

reference: install
	$(BIN)/python docs/generate.py
	$(BIN)/python docker/helm/reference.py

dashboards: install
	$(BIN)/python -m lstmserve_dashboards

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

install: $(VENV)/installed

# What serving and training need. Stale when pyproject.toml is newer; torch comes first, so that nothing else chooses
# its build.
$(VENV)/serving: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
ifdef TORCH_INDEX
	$(PIP) --index-url $(TORCH_INDEX) $(TORCH)
else
	$(PIP) --quiet --retries 1 --index-url $(CPU_INDEX) $(TORCH) || $(PIP) $(TORCH)
endif
	$(PIP) --editable '.[server,training]'
	touch $@

# and what the tests and checks need besides
$(VENV)/installed: $(VENV)/serving
	$(PIP) --editable '.[server,training,dev]'
	touch $@

$(NODE)/node_modules: $(NODE)/package-lock.json
	npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund
	touch $@

$(MANIFESTS)/installed: tests/deploy/manifests/requirements.txt
	$(PYTHON) -m venv $(MANIFESTS)
	$(MANIFESTS)/bin/python -m pip install --quiet --requirement $<
	touch $@

$(RAY)/installed: docs/examples/ray/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --requirement $< --editable .
	touch $@

$(VALKEY)/valkey-server: tests/install-valkey
	tests/install-valkey $(VALKEY)

clean:
	rm -rf $(VENV) $(MANIFESTS) $(RAY) $(VALKEY) $(NODE)/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
