# make demo | test | lint | docs | build | vendor: each is a session of noxfile.py. Needs Python 3.10 or later and make.
PYTHON ?= python3

.PHONY: demo test lint docs build vendor
demo test lint docs build vendor: .venv/ready
	.venv/bin/python -m nox --session $@

.venv/ready: constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	touch $@
