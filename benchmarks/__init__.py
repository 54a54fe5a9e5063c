"""How fast the binding is beside its peers, and beside a C program over the same liblmdb. No test asserts a time."""
