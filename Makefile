# make demo | test | lint | docs | build | wheels | vendor: each is a session of noxfile.py. Needs Python 3.10 or later and make.
PYTHON ?= python3

.NOTPARALLEL:
.PHONY: demo test lint docs build wheels vendor
demo test lint docs build wheels vendor: .venv/ready
	.venv/bin/python -m nox --session $@

.venv/ready: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or later is needed: make PYTHON=python3.12" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	touch $@
