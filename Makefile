# Everything that needs the rights of root gets them from tools/as-root.sh: root has them,
# anybody else is asked by sudo.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PLAN ?= examples/pair.yaml
PREFIX ?= /usr/local

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s  %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: ## install what vmnet needs to run: Debian packages, .venv, the micro image
	@tools/setup.sh

.PHONY: setup-tests
setup-tests: ## install what its tests need besides
	@tools/setup.sh --tests

.PHONY: up
up: setup ## bring the plan up (PLAN=examples/pair.yaml)
	@tools/as-root.sh .venv/bin/vmnet up $(PLAN)

.PHONY: down
down: ## take the plan down, leaving the host as it was
	@test -x .venv/bin/vmnet || { printf '%s\n' 'vmnet: nothing is installed here that could take $(PLAN) down' \
	  '  where: .venv is missing' '  fix: if its VMs are still there: make setup down' >&2; exit 4; }
	@tools/as-root.sh .venv/bin/vmnet down $(PLAN)

.PHONY: install
install: setup ## put the command vmnet, manual pages and completion into PREFIX=/usr/local (DESTDIR=...)
	@$(if $(DESTDIR),,tools/as-root.sh) .venv/bin/python tools/install.py install '$(PREFIX)' \
	  --destdir '$(or $(DESTDIR),/)'

.PHONY: uninstall
uninstall: ## take away what make install has put there
	@$(if $(DESTDIR),,tools/as-root.sh) python3 tools/install.py uninstall '$(PREFIX)' \
	  --destdir '$(or $(DESTDIR),/)'

.PHONY: dist
dist: setup ## make an sdist and a wheel of it in dist, for pip and pipx
	@.venv/bin/hatchling build -d dist

.PHONY: deb
deb: setup ## make a Debian package of it, build/vmnet_VERSION_ARCHITECTURE.deb (PYTHONS="3.11 3.13")
	@tools/deb.sh $(PYTHONS)

.PHONY: test-deb
test-deb: deb ## install, try, remove and purge that package in clean roots of Debian 12 and 13
	@printf '%s\n' bookworm trixie | xargs -P 2 -I RELEASE tools/in-release.sh \
	  --package build/vmnet_*.deb RELEASE sh -c 'exec tools/try-deb.sh /srv/*.deb'

.PHONY: oci
oci: deb ## make a container image of it, build/vmnet-oci.tar, for podman load and docker load
	@tools/oci.sh

.PHONY: test-oci
test-oci: oci ## start that image with a container's capabilities, and bring a pair of guests up in it
	@tools/try-oci.sh build/vmnet-oci.tar

.PHONY: test
test: setup-tests ## run all tests, lint and types among them (ARGS=tests/unit -k mac)
	@tools/test.sh $(ARGS)

.PHONY: test-oracle
test-oracle: setup-tests ## break networks at random, and hold vmnet to what an oracle sees (SEED=17)
	@tools/as-root.sh .venv/bin/python -m tests.oracle $(ARGS) $(or $(SEED),0-499)
	@$(if $(SEED),true,tools/as-root.sh .venv/bin/python -m tests.oracle --guests 0-49)

.PHONY: test-simulation
test-simulation: setup-tests ## live through 100000 stories of kills, failures, strangers on a model host (SEED=17)
	@.venv/bin/python -m tests.simulation $(ARGS) $(or $(SEED),0-99999)
	@$(if $(SEED),true,tools/as-root.sh .venv/bin/python -m tests.simulation --real --jobs 1 0-199)

.PHONY: test-crash
CASES ?= crash-cases.jsonl
test-crash: setup-tests ## kill vmnet before and after each of its steps (hours; ARGS="--sample 100 --seed 1")
	@test -s $(CASES) || tools/as-root.sh .venv/bin/python -m tests.crash --list $(CASES) $(LIST)
	@tools/as-root.sh .venv/bin/python -m tests.crash $(CASES) $(CASES:.jsonl=-log.jsonl) $(ARGS)

.PHONY: test-hostile
test-hostile: setup-tests ## give 200 plans of somebody hostile to plan and up, each alone
	@tools/as-root.sh .venv/bin/python -m tests.hostile

.PHONY: test-release
test-release: ## run them on another release of Debian, in a root of its own (RELEASE=trixie ARGS=...)
	@tools/in-release.sh --tests '$(RELEASE)' make test ARGS='$(ARGS)'

.PHONY: index
index: setup-tests ## write anew what completion and --help know of the commands
	@.venv/bin/python tools/index.py

.PHONY: schema
schema: setup-tests ## write anew the JSON Schema of plans, docs/plan.schema.json
	@.venv/bin/vmnet schema plan >docs/plan.schema.json

.PHONY: man
man: setup-tests ## write the manual pages, from the commands and the schema of plans, into build/man
	@.venv/bin/python tools/manpages.py build/man
	@printf '%s\n' 'read them: man -l build/man/vmnet.1'

.PHONY: docs
docs: setup-tests ## build the documentation into build/site; a dead link fails the build
	@.venv/bin/python -m mkdocs build --quiet --strict
	@printf '%s\n' 'read it: build/site/index.html'

.PHONY: pictures
pictures: setup-tests ## draw anew what vmnet prints in the documentation, from guests that run
	@tools/as-root.sh .venv/bin/python tools/pictures.py

.PHONY: test-nested
test-nested: setup-tests ## reboot a guest that is a host of vmnet's, and see its guests come back
	@tools/as-root.sh .venv/bin/python -m tests.nested

.PHONY: test-walls
test-walls: setup-tests ## play a QEMU that its guest has taken over, with the walls and without them
	@tools/as-root.sh .venv/bin/python -m tests.walls

.PHONY: mutate
mutate: setup-tests ## change the code that decides, and count what its unit tests notice (ARGS="check plan/rules")
	@tools/mutate.sh $(ARGS)

.PHONY: lint
lint: setup-tests ## run lint, types and layer contracts only
	@tools/test.sh tests/test_house.py

.PHONY: lock
lock: setup ## pin the Python packages anew (UPGRADE=1: at their newest versions)
	@tools/lock.sh

.PHONY: clean
clean: ## remove .venv and every cache from this folder; the image stays in /var/cache/vmnet
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
