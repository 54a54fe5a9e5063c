/* Many records in one call, over either LMDB engine.
 *
 * For callers to whom crossing into C costs more than LMDB's own work: bindings of interpreted languages. The library
 * links neither engine; it is handed the functions of one, and the transactions and cursors are the caller's. It
 * allocates no memory and keeps no state: whatever a call needs is in the structs below, which the caller owns. A call
 * follows LMDB's own rules for threads: one at a time in a transaction. Nor does it check more than LMDB: where keys are
 * integers (MDB_INTEGERKEY), every key and bound must have their size.
 *
 * Return codes: 0, LMDB's codes (below 0), errno values (above 0), and two of its own. Whatever goes wrong, the counts
 * say exactly how far the call came: records before `count` are done, the one at `count` is not, and nothing is lost.
 */
#ifndef LMDB_BULK_H
#define LMDB_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "lmdb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The next record fits into no output of this capacity; `needed` says which would do, 0 that none of this format would.
 * Nothing was consumed. */
#define LMDB_BULK_TOO_LARGE (-30600)
/* The input is not in its format. Nothing was done, whichever record it is that is wrong. */
#define LMDB_BULK_BAD_INPUT (-30601)

/* The functions of one engine. */
typedef struct lmdb_bulk_engine {
    int (*get)(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
    int (*put)(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
    int (*cmp)(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b);
    int (*cursor_open)(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
    void (*cursor_close)(MDB_cursor *cursor);
    int (*cursor_get)(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
    int (*cursor_put)(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags);
    int (*cursor_del)(MDB_cursor *cursor, unsigned int flags);
    int (*cursor_count)(MDB_cursor *cursor, size_t *count);
} lmdb_bulk_engine;

/* For callers that are linked to an engine: const lmdb_bulk_engine engine = LMDB_BULK_ENGINE; */
#define LMDB_BULK_ENGINE \
    { mdb_get, mdb_put, mdb_cmp, mdb_cursor_open, mdb_cursor_close, mdb_cursor_get, mdb_cursor_put, mdb_cursor_del, \
      mdb_cursor_count }

/* A transaction and a database: what most calls work on. */
typedef struct lmdb_bulk {
    const lmdb_bulk_engine *engine;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned int put_flags; /* of lmdb_bulk_put: flags of mdb_put but MDB_RESERVE and MDB_MULTIPLE */
    char *buffer;           /* where lmdb_bulk_get copies to */
    size_t capacity;
    MDB_val value; /* what lmdb_bulk_get found, in the map: valid until the transaction writes or ends */
    MDB_cursor *cursor; /* for calls with many records: one over dbi in txn, to be moved; NULL: each opens its own */
} lmdb_bulk;

/* --- one record, with few and plain arguments ------------------------------------------------------------------- */

/* Look up a key. Returns the length of its value, which is copied to `buffer` where it fits into `capacity` and is in
 * `value` in any case; or an error as a negative number: LMDB's code, or an errno negated. */
ptrdiff_t lmdb_bulk_get(lmdb_bulk *bulk, const void *key, size_t key_size);

/* Store a record, with the flags in `put_flags`. */
int lmdb_bulk_put(lmdb_bulk *bulk, const void *key, size_t key_size, const void *value, size_t value_size);

/* --- how many records come in and go out ------------------------------------------------------------------------- */

/* Strings one behind the other: the i-th is data[offsets[i] .. offsets[i + 1]), as in Apache Arrow's large_binary. */
typedef struct lmdb_bulk_column {
    char *data;
    size_t capacity;  /* bytes in data; output only. ROWS: bytes of a field. Not of PLACES: data has room for `limit` */
    int64_t *offsets; /* one more than there are strings; not of PLACES */
} lmdb_bulk_column;

/* Formats of input and output. */
#define LMDB_BULK_COLUMNS 0 /* columns of keys and of values */
#define LMDB_BULK_MARSHAL 1 /* input: a list of bytes, or of pairs of bytes, as Python's marshal (version 2) writes it */
#define LMDB_BULK_PICKLE 2  /* output: a flat list of bytes as a pickle (protocol 3); pairs stand one behind another */
#define LMDB_BULK_ROWS 3    /* output: rows of fields of one size, each a string behind a byte with its length, as Python's
                             * struct has them ("17p101p"); no longer string fits into a row, and none can be missing */

#define LMDB_BULK_PLACES 4  /* output: columns whose data are MDB_val, where each string is in the map: until the transaction
                             * writes or ends */

#define LMDB_BULK_FIELD 256u /* ROWS: bytes of a field at most */

typedef struct lmdb_bulk_input {
    unsigned int format;
    size_t count;            /* how many records; of MARSHAL, out */
    lmdb_bulk_column keys;   /* COLUMNS */
    lmdb_bulk_column values; /* COLUMNS: where records are pairs */
    const char *stream;      /* MARSHAL */
    size_t stream_size;      /* MARSHAL: bytes */
    size_t done;             /* in and out: records of the input that are done; 0 before the first call */
    size_t position;         /* MARSHAL, in and out: where in the stream that is; 0 before the first call */
    size_t value;            /* ALL_VALUES, in and out: values of that key that are done; 0 before the first call */
} lmdb_bulk_input;

/* Bytes of a pickle with no record: less than this is LMDB_BULK_TOO_LARGE even where there is nothing to give. */
#define LMDB_BULK_PICKLE_EMPTY 6u

/* What goes into an output. */
#define LMDB_BULK_KEYS 1u
#define LMDB_BULK_VALUES 2u

typedef struct lmdb_bulk_output {
    unsigned int format;
    unsigned int what; /* LMDB_BULK_KEYS, LMDB_BULK_VALUES, or both */
    size_t limit;      /* records at most in one call; offsets and found have room for them */
    lmdb_bulk_column keys;
    lmdb_bulk_column values;
    unsigned char *found; /* COLUMNS, lmdb_bulk_get_many: 1 where there is a value; may be NULL */
    char *stream;         /* PICKLE, ROWS */
    size_t capacity;      /* PICKLE, ROWS: bytes; of a pickle LMDB_BULK_PICKLE_EMPTY at least. PLACES: bytes of all strings at
                           * most, but of one record in any case */
    size_t stream_size;   /* out: bytes of the stream. PLACES: of all strings */
    size_t count;         /* out: records */
    size_t longest_key;   /* ROWS, out: bytes */
    size_t longest_value; /* ROWS, out: bytes */
    size_t needed;        /* out, LMDB_BULK_TOO_LARGE: the capacity that the next record needs (of the larger column) */
} lmdb_bulk_output;

/* --- many records ------------------------------------------------------------------------------------------------ */

#define LMDB_BULK_REVERSE 1u        /* from the upper end to the lower one */
#define LMDB_BULK_LOWER_EXCLUDED 2u /* leave out the key `lower` itself */
#define LMDB_BULK_UPPER_INCLUDED 4u /* take in the key `upper` itself */
#define LMDB_BULK_NODUP 8u          /* dupsort: of each key one value, the first (in reverse the last) */
#define LMDB_BULK_DUP 16u           /* no further than the values of the key where the cursor is; not with NODUP */
#define LMDB_BULK_MISSING 32u       /* lmdb_bulk_get_many: give missing keys too, as None or as not found */
#define LMDB_BULK_ALL_VALUES 64u    /* lmdb_bulk_get_many, dupsort: every value of a key; not with MISSING */

/* Where a scan is. */
#define LMDB_BULK_START 0u   /* find the first record of the range */
#define LMDB_BULK_CURRENT 1u /* the record at the cursor comes next */
#define LMDB_BULK_AFTER 2u   /* the record at the cursor has been given */
#define LMDB_BULK_END 3u     /* there are no more */

typedef struct lmdb_bulk_scan {
    const lmdb_bulk_engine *engine;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor; /* over dbi, in txn; moved, and left at the last record given or looked at */
    MDB_val lower;      /* the range of keys; mv_data NULL: no bound on this side. All keys are above an empty one */
    MDB_val upper;
    unsigned int flags; /* REVERSE, LOWER_EXCLUDED, UPPER_INCLUDED, NODUP, DUP */
    unsigned int state; /* in and out */
    size_t remaining;   /* in and out: records to give at most, SIZE_MAX for all */
    unsigned int beyond; /* out: 1 where the cursor stands on a record that was looked at, but not given; else 0 */
} lmdb_bulk_scan;

/* Give the next records. 0: the output has reached its limit, or the next record does not fit in; call again.
 * MDB_NOTFOUND: these, maybe none, are the last. Any other code: an error behind the records given. */
int lmdb_bulk_scan_next(lmdb_bulk_scan *scan, lmdb_bulk_output *output);

/* Move a cursor by `count` steps of `op` (MDB_NEXT and the like), as far as that goes; `done` says how far. */
int lmdb_bulk_step(const lmdb_bulk_engine *engine, MDB_cursor *cursor, MDB_cursor_op op, size_t count, size_t *done);

/* Look up the keys of the input from record `done` on. 0 with done < count: the output is full; call again.
 * A key comes out as it is stored; a missing one as it was asked for, or in a pickle of keys alone as None. With
 * ALL_VALUES and a `cursor` of the caller's, a call goes on at that cursor; without, it steps over the key's values. */
int lmdb_bulk_get_many(lmdb_bulk *bulk, lmdb_bulk_input *keys, unsigned int flags, lmdb_bulk_output *output);

/* Store the pairs of the input from record `done` on, with the flags of mdb_put (MDB_APPEND where they are sorted) but
 * MDB_RESERVE. `added` counts those stored by this call; the others are there already (MDB_NOOVERWRITE, MDB_NODUPDATA).
 * On an error `done` names the record; those before it are stored. */
int lmdb_bulk_put_many(lmdb_bulk *bulk, lmdb_bulk_input *pairs, unsigned int flags, size_t *added);

/* Count the records of a range: lower, upper and flags as in lmdb_bulk_scan (NULL: no bound). With NODUP, the keys. */
int lmdb_bulk_count_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                          size_t *count);

/* Delete the records of a range, at most `limit` keys with all their values. `count` says how many records went, on an
 * error too; 0 and none: the range is empty. A named database's record is refused (MDB_INCOMPATIBLE), and after that
 * LMDB refuses the transaction. */
int lmdb_bulk_delete_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                           size_t limit, size_t *count);

/* Turn a prefix of keys, in place, into the smallest key behind all that begin with it. Returns its size, 0 where
 * there is none (every byte is 255): then the range of the prefix has no upper bound. */
size_t lmdb_bulk_prefix_end(unsigned char *prefix, size_t size);

/* The version of this interface: it grows when functions or fields are added; the SONAME, when they change. */
int lmdb_bulk_version(void);

#ifdef __cplusplus
}
#endif

#endif
