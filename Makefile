# The commands of this repository; `make` lists them. Prerequisites: git, make, python3 and python3-venv.
# Everything is installed into .venv and web/node_modules, as the lock files say; nothing outside the tree is changed,
# except that `make test` and `make wide`, when they run as root on Debian, install the programs they need (TEST_PROGRAMS, WIDE_PROGRAMS).

PYTHON ?= python3
SECONDS ?= 60
TEST_PROGRAMS := chromium curl nginx caddy gcc postgres nats-server pgbouncer
WIDE_PROGRAMS := haproxy javac chromedriver firefox-esr WebKitWebDriver Xvfb
# Where Debian's package of a program has another name, or needs another one beside it.
PACKAGES := s/ gcc\b/ gcc libc6-dev/; s/ postgres\b/ postgresql/; s/ javac\b/ default-jdk-headless/; s/ chromedriver\b/ chromium-driver/; s/ WebKitWebDriver\b/ webkit2gtk-driver/; s/ Xvfb\b/ xvfb/
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo "sudo ")
PIP_INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check
BUILD := .venv/bin/python hatch_build.py
# Debian has PostgreSQL's server in a directory of its version.
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))
export npm_config_update_notifier := false
# Hundreds of processes begin in a run: each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: help setup demo test quick contract wide check check-packages check-web check-types check-python format docs screenshots pictures lock node package page release site web-packages test-programs types wide-programs

help:
	@echo "make demo     two people chat in two browser windows, nothing to configure; NODES=3 for several server processes"
	@echo "make test     every test, with real browsers and real processes; some minutes"
	@echo "make quick    the tests of rules, store, hub and the client's core: half a minute"
	@echo "make contract   the tests of the wire and of the store, for one Python: PYTHON=python3.13"
	@echo "              DEPLOYMENT=postgres, nats, two-nodes or two-nodes-nats: all tests of the wire on these"
	@echo "make wide     the tests that need large packages: other servers, proxies, clients and browsers; some minutes"
	@echo "make fault    kills, power cuts, bad disks and networks, also of several nodes; forty minutes. ONLY='kill disk' picks"
	@echo "make fault-docs   take what make fault has found into the documents"
	@echo "make fuzz     made-up bytes and requests to everything that reads them; SECONDS=60, of all together; ONLY='sse body' picks"
	@echo "make scoreboard  Tidings and four other systems under the same faults; QUICK=1 for one short round"
	@echo "make bench    what a message and a stream cost, beside other servers; QUICK=1 within three minutes; make bench-docs, bench-growth"
	@echo "make setup    .venv/bin/tidings and the page; both commands above begin with it"
	@echo "make package  wheel, sdist and npm package, in build/package"
	@echo "make release  the same, tried as their users will, and notes, in build/release; publishes nothing; some minutes"
	@echo "make site     the documents as a site, in build/site/html"
	@echo "make check    format, lint, types, layout, documents; about a minute"
	@echo "make format   bring the code into the format that make check wants"
	@echo "make docs     write anew what the documents have from the code"
	@echo "make types    write anew the browser client's types of the wire, from the server's shapes"
	@echo "make screenshots   pictures of every state of the page, to look at; some minutes"
	@echo "make pictures   the README's pictures and its recording, anew"
	@echo "make lock     resolve all dependencies anew and write the lock files"

setup: .venv/.installed page

demo: setup $(if $(NODES),.venv/.nodes)
	@exec .venv/bin/tidings demo $(if $(NODES),--nodes $(NODES))

# Three browsers are what two cores can do, beside one that waits; of all other tests, which wait for most of their time, five.
# Both parts are played, whatever comes of the first one. In `make check test` those that check has played are not played again.
# The order is that of collection, of folders and names, but for what takes longest; tests/groups.py says what one worker plays.
test: setup .venv/.dev web-packages test-programs
	$(PLAY) -n 4 tests/browser; browsers=$$?; \
	$(PLAY) -n 5 --ignore tests/browser $(if $(filter check,$(MAKECMDGOALS)),$(CHECK_TESTS:%=--ignore %)); others=$$?; \
	[ $$browsers = 0 ] && [ $$others = 0 ]
	cd web && npm test

PLAY := .venv/bin/python -m pytest --dist loadgroup --no-loadscope-reorder

# While one works: the rules, the store and the hub, and the browser client's core. No browser, no server of its own.
quick: setup .venv/.dev web-packages
	.venv/bin/python -m pytest -q -n 2 --dist loadfile $(QUICK_TESTS) & python=$$!; \
	(cd web/client && npx vitest run --reporter=dot test/); core=$$?; wait $$python && exit $$core

QUICK_TESTS := tests/unit tests/contract/test_store.py tests/server/test_hub.py --ignore tests/unit/test_packaging.py --ignore tests/unit/test_docs.py --ignore tests/unit/test_layout.py --deselect tests/server/test_hub.py::test_the_readers_of_an_erased_log_are_cut_by_the_sweep

# For each Python that Tidings runs on: PYTHON=python3.13 make contract, in a tree of its own. With DEPLOYMENT (see
# lab/deployment.py) the tests of the wire, all of them, on another one than SQLite.
contract: setup .venv/.dev web-packages test-programs
	.venv/bin/python -m pytest -n 2 --dist loadfile $(if $(DEPLOYMENT),--deployment $(DEPLOYMENT) $(WIRE_TESTS),tests/unit tests/contract)

WIRE_TESTS := $(wildcard tests/contract/test_protocol_*.py)

WIDE_PACKAGES := jest frameworks

# Three: with five a page in WebKit stood still for half a minute, beside two other engines, compilers and bundlers.
wide: setup .venv/.dev web-packages test-programs wide-programs
	@$(MAKE) --no-print-directory -j 3 .venv/.wide $(WIDE_PACKAGES:%=tests/wide/%/node_modules/.installed)
	.venv/bin/python -m pytest -n 3 --dist loadgroup tests/wide
	.venv/bin/python -m pytest -n 4 --dist loadfile --deployment two-nodes-nats -k "not attached" $(addprefix tests/contract/test_protocol_,block.py receipts.py send.py stream.py)

# The parts beside each other; each says what it has to say when it is done, where make can do that.
check: setup .venv/.dev web-packages
	@$(MAKE) --no-print-directory -j 4 $(if $(filter output-sync,$(.FEATURES)),-O) check-types check-packages check-web check-python

CHECK_TESTS := tests/unit/test_layout.py tests/unit/test_docs.py

check-packages:
	cd web && npm run check:packages

check-web:
	cd web && npm run check:code

check-types:
	.venv/bin/mypy

check-python:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/python -m pytest -q --durations=3 $(CHECK_TESTS)

format: .venv/.dev web-packages
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	cd web && npm run format

# The parts of the documents that are written from the code; `make check` compares them.
docs: .venv/.dev .venv/.installed
	.venv/bin/python docs/write_settings.py
	.venv/bin/python docs/write_states.py
	.venv/bin/python docs/write_scoreboard.py
	.venv/bin/python docs/write_faults.py
	.venv/bin/python docs/write_tests.py
	.venv/bin/python docs/write_llms.py

types: .venv/.dev .venv/.installed
	.venv/bin/python web/write_types.py

# Two devices, light and dark, both directions of writing. Emoji need a font: apt-get install fonts-noto-color-emoji
screenshots: setup .venv/.dev test-programs
	.venv/bin/python -m tests.browser.screenshots screenshots

# The pictures of the README and its recording of a cut, from the real page. Look at them before you commit them.
pictures: setup .venv/.dev .venv/.pictures test-programs
	.venv/bin/python -m tests.browser.pictures

# Hashes without addresses: the same files install from any index or mirror.
lock: .venv/.dev node
	.venv/bin/uv pip compile $(UV_OPTIONS) pyproject.toml --extra server --group build -o locks/requirements.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) pyproject.toml --extra server --group build --group dev -c locks/requirements.lock -o locks/requirements-dev.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) pyproject.toml --extra server --extra postgres --extra nats --group build -c locks/requirements-dev.lock -o locks/requirements-nodes.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group fuzz -c locks/requirements-dev.lock -o locks/requirements-fuzz.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group wide -c locks/requirements-dev.lock -o locks/requirements-wide.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group pictures -o locks/requirements-pictures.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group charts -o locks/requirements-charts.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group node -o locks/requirements-node.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group site -c locks/requirements-dev.lock -o locks/requirements-site.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group release -c locks/requirements-dev.lock -c locks/requirements-site.lock -o locks/requirements-release.lock
	.venv/bin/uv pip compile $(UV_OPTIONS) --group scoreboard -o locks/requirements-scoreboard.lock
	cd web && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	cd lab/systems && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	cd lab/release/vite && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	cd lab/release/next && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
	for each in $(WIDE_PACKAGES); do \
		(cd tests/wide/$$each && npm update --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved) || exit 1; \
	done

UV_OPTIONS := --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --no-emit-index-url

# The interpreter is looked for before .venv/bin is on the PATH. A .venv whose Python is gone is made anew.
.venv/bin/python:
	@missing=; \
	command -v git >/dev/null || missing="$$missing git"; \
	if ! command -v $(PYTHON) >/dev/null; then missing="$$missing python3 python3-venv"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "Tidings needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; \
		echo "Name another one: make setup PYTHON=python3.12" >&2; exit 1; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then missing="$$missing python3-venv"; fi; \
	if [ -n "$$missing" ]; then \
		echo "Missing:$$missing. Install with:" >&2; \
		echo "  $(SUDO)apt-get update && $(SUDO)apt-get install -y --no-install-recommends$$missing" >&2; exit 1; \
	fi
	@rm -rf .venv
	@$(PYTHON) -m venv .venv

.venv/.runtime: locks/requirements.lock .venv/bin/python
	@echo "Installing what Tidings needs (locks/requirements.lock)"
	@$(PIP_INSTALL) --require-hashes -r locks/requirements.lock
	@touch $@

# A stamp for the packages of one lock file, installed above those of another.
.venv/.%: locks/requirements-%.lock
	@echo "Installing $(STANDS_FOR_$*) (locks/requirements-$*.lock)"
	@$(PIP_INSTALL) --require-hashes -r $<
	@touch $@

.venv/.dev .venv/.nodes: .venv/.runtime
.venv/.pictures .venv/.charts .venv/.fuzz .venv/.release .venv/.site .venv/.wide: .venv/.dev

STANDS_FOR_dev := the tools of development
STANDS_FOR_nodes := the drivers of PostgreSQL and NATS
STANDS_FOR_pictures := what writes pictures
STANDS_FOR_charts := what draws charts
STANDS_FOR_fuzz := the fuzzers
STANDS_FOR_release := what checks packages
STANDS_FOR_site := what makes the site
STANDS_FOR_wide := other people's servers

.venv/.installed: pyproject.toml hatch_build.py .venv/.runtime | page
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Node builds the page. The system's is used when it is recent enough, else one comes into .venv.
node: .venv/.runtime
	@$(BUILD) node-is-suitable || { \
		echo "No Node 20.19+ with npm on the PATH: installing one into .venv (locks/requirements-node.lock)"; \
		$(PIP_INSTALL) --require-hashes -r locks/requirements-node.lock && $(BUILD) link-node; }

page: .venv/.runtime
	@$(BUILD) page-is-built || { $(MAKE) --no-print-directory node && echo "Building the page (web/)" && $(BUILD) page; }

web-packages: node
	@$(BUILD) packages

# What pip and npm install in somebody's application, until it is published (docs/start/install.md).
package: page web-packages
	@mkdir -p build/package
	.venv/bin/python -m hatchling build -d build/package
	cd web && npm pack --workspace=client --pack-destination=../build/package

release: setup .venv/.dev .venv/.release web-packages tests/wide/jest/node_modules/.installed
	.venv/bin/python -m lab.release

site: setup .venv/.dev .venv/.site
	.venv/bin/python docs/write_site.py

# $(call have,WHO,PROGRAMS): the programs that are missing come from Debian's packages, or a sentence says how they would.
define have
	@missing=; for each in $(2); do command -v $$each >/dev/null || missing="$$missing $$each"; done; \
	packages=$$(echo "$$missing" | sed '$(PACKAGES)'); \
	if [ -n "$$missing" ]; then \
		if ! command -v apt-get >/dev/null; then echo "$(1) need$$missing; install them." >&2; exit 1; \
		elif [ "$$(id -u)" = 0 ]; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$packages && \
			for each in $$packages; do systemctl disable --now -q $$each 2>/dev/null || true; done; \
		else \
			echo "$(1) need$$missing. Install with:" >&2; \
			echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$$packages" >&2; exit 1; \
		fi; \
	fi
endef

test-programs:
	$(call have,The tests,$(TEST_PROGRAMS))

%/node_modules/.installed: %/package-lock.json | node
	@cd $* && npm ci --no-audit --no-fund --ignore-scripts --silent
	@touch $@

wide-programs:
	$(call have,The wide tests,$(WIDE_PROGRAMS))

include lab/Makefile
