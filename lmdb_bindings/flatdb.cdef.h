/* What the binding calls of libflatdb, for CFFI; its types of LMDB come from lmdb.cdef.h. The tests compile these
 * declarations against flatdb.h. */

typedef struct {
    int code;
    char text[2048];
} flatdb_error;

typedef struct {
    char *data;
    size_t size;
} flatdb_bytes;

typedef struct flatdb_schema flatdb_schema;
typedef struct flatdb_columns flatdb_columns;
typedef struct {
    const flatdb_schema *schema;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val record;
    flatdb_error *error;
} flatdb_reader;

struct ArrowSchema;
struct ArrowArray;

void flatdb_free(void *data);
int flatdb_schema_new(const void *data, size_t size, const char *file, const char *const *include, const char *root,
                      flatdb_schema **schema, flatdb_error *error);
void flatdb_schema_free(flatdb_schema *schema);
const void *flatdb_schema_binary(const flatdb_schema *schema, size_t *size);
const char *flatdb_schema_root(const flatdb_schema *schema);
int flatdb_schema_conform(const flatdb_schema *schema, const flatdb_schema *older, flatdb_error *error);
int flatdb_verify(const flatdb_schema *schema, const void *data, size_t size, flatdb_error *error);
int flatdb_verify_many(const flatdb_schema *schema, const MDB_val *records, size_t *count, flatdb_error *error);
int flatdb_from_json(const flatdb_schema *schema, const char *json, size_t size, flatdb_bytes *record,
                     flatdb_error *error);
int flatdb_read(flatdb_reader *reader, const void *key, size_t key_size);
int flatdb_columns_new(const flatdb_schema *schema, const char *const *paths, size_t count, const char *key,
                       flatdb_columns **columns, flatdb_error *error);
void flatdb_columns_free(flatdb_columns *columns);
int flatdb_columns_schema(const flatdb_columns *columns, struct ArrowSchema *schema, flatdb_error *error);
int flatdb_columns_decode(flatdb_columns *columns, const MDB_val *keys, const MDB_val *values, size_t *count,
                          struct ArrowArray *array, flatdb_error *error);
