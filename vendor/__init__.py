"""Third-party sources: pinned by hash in ``lock.toml``, fetched, verified, patched and staged; never committed.

``python -m vendor fetch`` puts each upstream where the builds and the sdists take it from. Nothing else in the
project touches the network for sources, and no build does.
"""
