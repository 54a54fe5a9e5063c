/* The C API of liblmdb_bulk, for CFFI; its types come from lmdb.cdef.h. The tests compile these declarations against
 * lmdb_bulk.h. */

typedef struct {
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

typedef struct {
    const lmdb_bulk_engine *engine;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned int put_flags;
    char *buffer;
    size_t capacity;
    MDB_val value;
    MDB_cursor *cursor;
} lmdb_bulk;

typedef struct {
    char *data;
    size_t capacity;
    int64_t *offsets;
} lmdb_bulk_column;

typedef struct {
    unsigned int format;
    size_t count;
    lmdb_bulk_column keys;
    lmdb_bulk_column values;
    const char *stream;
    size_t stream_size;
    size_t done;
    size_t position;
    size_t value;
} lmdb_bulk_input;

typedef struct {
    unsigned int format;
    unsigned int what;
    size_t limit;
    lmdb_bulk_column keys;
    lmdb_bulk_column values;
    unsigned char *found;
    char *stream;
    size_t capacity;
    size_t stream_size;
    size_t count;
    size_t longest_key;
    size_t longest_value;
    size_t needed;
} lmdb_bulk_output;

typedef struct {
    const lmdb_bulk_engine *engine;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val lower;
    MDB_val upper;
    unsigned int flags;
    unsigned int state;
    size_t remaining;
    unsigned int beyond;
} lmdb_bulk_scan;

ptrdiff_t lmdb_bulk_get(lmdb_bulk *bulk, const void *key, size_t key_size);
int lmdb_bulk_put(lmdb_bulk *bulk, const void *key, size_t key_size, const void *value, size_t value_size);
int lmdb_bulk_scan_next(lmdb_bulk_scan *scan, lmdb_bulk_output *output);
int lmdb_bulk_step(const lmdb_bulk_engine *engine, MDB_cursor *cursor, MDB_cursor_op op, size_t count, size_t *done);
int lmdb_bulk_get_many(lmdb_bulk *bulk, lmdb_bulk_input *keys, unsigned int flags, lmdb_bulk_output *output);
int lmdb_bulk_put_many(lmdb_bulk *bulk, lmdb_bulk_input *pairs, unsigned int flags, size_t *added);
int lmdb_bulk_count_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                          size_t *count);
int lmdb_bulk_delete_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                           size_t limit, size_t *count);
int lmdb_bulk_version(void);
