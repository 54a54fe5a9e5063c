"""The proof of a wheel: everything that can be known of it as a file, checked before it is given to anybody.

``python -m release.proof dist/*.whl`` for people and for a release; :func:`release.proof.checks.prove` for tests.
Whether a wheel works is not seen here: that shows where it is installed and run.
"""
