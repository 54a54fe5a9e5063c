"""Flags, formats, states and return codes of ``lmdb_bulk.h``, which the same work in Python uses too."""

# a range of keys
REVERSE = 1
LOWER_EXCLUDED = 2
UPPER_INCLUDED = 4
NODUP = 8
DUP = 16

# lmdb_bulk_get_many
MISSING = 32
ALL_VALUES = 64

# what is read of a record
KEYS = 1
VALUES = 2

# where a scan is
START = 0
CURRENT = 1
AFTER = 2
END = 3

# formats of input and output
COLUMNS = 0
MARSHAL = 1
PICKLE = 2
ROWS = 3
PLACES = 4

FIELD = 256

# return codes
TOO_LARGE = -30600
BAD_INPUT = -30601
