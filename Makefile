# Everything lives in .venv, .cache and .outerloop; nothing is installed on the host.
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
PROTOS := $(shell find proto -name '*.proto')
EXAMPLES := helpdesk helpdesk_model helpdesk_traffic helpdesk_demo rooms quotes

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' Makefile)
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 22

setup: $(VENV)/.ready ## a virtual environment with locked dependencies and embedded engines

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "setting up $(VENV) …"
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -oE '^uv==[0-9.]+' requirements.lock)"
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup ## the whole loop, before your eyes (ARGS="--help" for what can be changed)
	@PYTHONPATH=deploy/examples $(BIN)/python -m helpdesk_demo $(ARGS)

test: setup ## unit, integration and end-to-end tests (ARGS="tests/unit" for some of them)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

check: setup ## every gate on the code: lint, types, layers, contracts, lock file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy services tests
	set -e; for example in $(EXAMPLES); do \
	  (cd deploy/examples && MYPYPATH=.:../../services:helpdesk:helpdesk_model:rooms:quotes ../../$(BIN)/mypy --config-file ../../pyproject.toml $$example); \
	done
	$(BIN)/lint-imports
	cd proto && ../$(BIN)/buf lint
	$(MAKE) --no-print-directory check-drift

bench-draft: setup ## evals drafted from half of recorded traces, measured on the other (ARGS="--traces FOLDER")
	PYTHONPATH=tests $(BIN)/python -m bench.bench_draft $(ARGS)

# What the image holds: the same versions, without engines, demo and tools of development.
IMAGE_LOCK := --quiet pyproject.toml --extra bedrock --extra gate --extra tracing --extra triage --extra vertex --group image --constraint requirements.lock --no-annotate --universal \
  --python-version 3.11 --generate-hashes --no-header
TOOLS := .cache/tools
deploy-tools: ## Helm (built by Go) and promtool (Debian's), where they can be had
	@mkdir -p $(TOOLS)
	@test -x $(TOOLS)/helm || ! command -v go > /dev/null || GOBIN=$(CURDIR)/$(TOOLS) go install helm.sh/helm/v3/cmd/helm@v3.22.0
	@command -v promtool > /dev/null || test "$$(id -u)" != 0 || ! command -v apt-get > /dev/null || \
	  { apt-get update -qq && apt-get install -qq --no-install-recommends prometheus > /dev/null; }

# From source, as so no image or archive of them is needed; a quarter of an hour on two cores.
KUBERNETES := 1.36.3
deploy-engines: deploy-tools $(TOOLS)/otelcol ## what test-deploy tries the deployment on, built by Go: Kubernetes, kwok, a Collector
	cd tests/engines/kubernetes/binaries && for each in k8s.io/kubernetes/cmd/kube-apiserver \
	  k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler go.etcd.io/etcd/server/v3=etcd; do \
	  into="$(CURDIR)/$(TOOLS)/$$(basename $${each##*=})"; \
	  test -x "$$into" || { echo "building $$(basename $$into) …"; go build -trimpath -o "$$into" -ldflags "-s -w \
	    -X k8s.io/component-base/version.gitVersion=v$(KUBERNETES) -X k8s.io/component-base/version.gitMajor=1 \
	    -X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(KUBERNETES)))" $${each%%=*}; } || exit 1; \
	done
	@test -x $(TOOLS)/kwok || GOBIN=$(CURDIR)/$(TOOLS) go install sigs.k8s.io/kwok/cmd/kwok@v0.7.0

$(TOOLS)/otelcol: tests/deploy/collector.yaml
	@mkdir -p $(TOOLS)
	@command -v go > /dev/null || { echo "there is no Go to build the Collector with"; exit 1; }
	@go run go.opentelemetry.io/collector/cmd/builder@v0.165.0 --config $< > .cache/otelcol.log 2>&1 \
	  || { tail -n 5 .cache/otelcol.log; exit 1; }
	@mv .cache/otelcol/otelcol $@ && touch $@

# Their libraries are never the project's own: an environment each, from its locked requirements.
CLIENTS := $(patsubst deploy/examples/clients/%.py,%,$(wildcard deploy/examples/clients/*.py))
client-environments: setup $(CLIENTS:%=.cache/clients/%/.ready) ## what the example clients are tested in
.cache/clients/%/.ready: deploy/examples/clients/%.txt
	@echo "an environment for $* …"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(@D)
	@$(UV) pip sync --quiet --python $(@D)/bin/python $<
	@touch $@

# As root on Debian; with this machine's certificate authorities, as what it fetches through may need them.
BASE := outerloop-test-base:bookworm
deploy-base: ## what test-deploy builds the image on where none can be pulled: Debian's Python, by debootstrap
	@docker info > /dev/null 2>&1 || { echo "no Docker engine answers: start one (Debian: apt-get install docker.io)"; exit 1; }
	@command -v debootstrap > /dev/null || apt-get install -qq --no-install-recommends debootstrap > /dev/null
	@docker image inspect $(BASE) > /dev/null 2>&1 || { rm -rf .cache/base && mkdir -p .cache && \
	  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm .cache/base > .cache/base.log && \
	  cp /etc/ssl/certs/ca-certificates.crt .cache/base/etc/ssl/certs/ && \
	  tar -C .cache/base -c . | docker import - $(BASE) && rm -rf .cache/base; }

test-deploy: setup deploy-tools ## chart, alerts, dashboards, image: one line a check, one JSON line at the end
	$(BIN)/python tests/deploy $(ARGS)

chart: setup ## what the chart takes from the contracts
	$(BIN)/outerloop topics --json > deploy/helm/outerloop/files/topics.json

bench-gate: setup ## the gate's statistics beside naive rules (ARGS="--share .05" is short)
	$(BIN)/python tests/bench/bench_gate.py $(ARGS)

bench-life: setup ## sixty proposals to the gate, measured (ARGS="--kills 50"; "--proposals 4 --evals 2" is short)
	PYTHONPATH=tests $(BIN)/python -m bench.life $(ARGS)

bench-propose: setup ## the harness that repairs agents, measured on scripts (ARGS="--agents rooms --kills 2 --sessions 2" is short)
	PYTHONPATH=tests $(BIN)/python -m bench.propose $(ARGS)

bench-triage: setup ## triage on recorded traces of real agents (ARGS=FOLDER, default ../shared/traces; --short)
	PYTHONPATH=tests $(BIN)/python -m bench.bench_triage $(ARGS)

bench-trials: setup ## a trial's overhead beside Inspect AI and promptfoo (ARGS="--short" without them)
	PYTHONPATH=tests $(BIN)/python -m bench.bench_trials $(ARGS)

bench-queries: setup ## analysts' questions at 1 and 10 million spans (ARGS="--spans 10000 100000" is short)
	PYTHONPATH=tests $(BIN)/python -m bench.bench_queries $(ARGS)

bench-ingest: setup ## ingest beside its limit, the plain way and peers (ARGS="--spans 20000 --seconds 2 --no-peers" is short)
	PYTHONPATH=tests $(BIN)/python -m bench.ingest $(ARGS)

chaos-ingest: setup ## a million spans while everything is killed (ARGS="--spans 20000 --kills 4" is short)
	PYTHONPATH=tests $(BIN)/python -m bench.chaos $(ARGS)

.PHONY: check-drift
check-drift: setup # what is generated must be what its source says
	@rm -rf .cache/drift && mkdir -p .cache/drift
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=.cache/drift --pyi_out=.cache/drift $(PROTOS)
	@diff -r -x __init__.py -x __pycache__ .cache/drift/outerloop/contracts services/outerloop/contracts \
	  || { echo "generated code differs from proto/: run make proto"; exit 1; }
	@$(BIN)/outerloop topics --json | diff -q - deploy/helm/outerloop/files/topics.json > /dev/null \
	  || { echo "the chart's topics are not those of proto/ and the services: run make chart"; exit 1; }
	@base=$$(git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet HEAD~1 || true); \
	if [ -n "$$base" ] && git cat-file -e "$$base:proto" 2>/dev/null; then \
	  cd proto && ../$(BIN)/buf breaking --against "../.git#ref=$$base,subdir=proto"; fi
	@cp requirements.lock .cache/drift/requirements.lock
	@$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --output-file .cache/drift/requirements.lock
	@cp deploy/image.lock .cache/drift/image.lock
	@$(UV) pip compile $(IMAGE_LOCK) --output-file .cache/drift/image.lock
	@diff deploy/image.lock .cache/drift/image.lock || { echo "deploy/image.lock is stale: run make lock"; exit 1; }
	@diff requirements.lock .cache/drift/requirements.lock \
	  || { echo "requirements.lock is not what pyproject.toml asks for: run make lock"; exit 1; }

format: setup ## mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

proto: setup ## generate Python from proto/
	rm -rf services/outerloop/contracts
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=services --pyi_out=services $(PROTOS)
	touch services/outerloop/contracts/__init__.py services/outerloop/contracts/v1/__init__.py

release-contracts: setup ## at a release: what consumers one version back must go on reading
	cd proto && ../$(BIN)/buf build -o released.binpb --exclude-source-info

lock: setup ## resolve dependencies again, after pyproject.toml changed
	$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --output-file requirements.lock
	$(UV) pip compile $(IMAGE_LOCK) --output-file deploy/image.lock
	for client in $(CLIENTS); do $(UV) pip compile --quiet deploy/examples/clients/$$client.py --universal \
	  --python-version 3.11 --no-annotate --no-header --output-file deploy/examples/clients/$$client.txt || exit 1; done

clean: ## forget environment, caches and local data
	rm -rf $(VENV) .cache .outerloop .mypy_cache .ruff_cache .pytest_cache
