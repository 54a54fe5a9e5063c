/* FlatBuffers records in LMDB, by their schema: verified, to and from JSON, to Arrow, and whole tables in and out.
 *
 * A plain C interface to a C++ library. It is built once for each LMDB engine, libflatdb.so.0 over liblmdb.so.0 and
 * libflatdb.so.1 over liblmdb.so.1, and calls the engine that is loaded in the process. How tables are stored is
 * described in docs/tables.md; Python's lmdb_bindings.tables reads and writes the same.
 *
 * Every function that returns int returns 0, a code of LMDB (below 0), an errno (above 0), or one of the codes here;
 * where it is not 0, `error` (which may be NULL) has the code and a text that says what, why, and what to do. Bytes of a
 * file are never trusted: a record that is not what its schema says is FLATDB_BAD_RECORD, and no crash. Records may be
 * at any address: nothing is assumed of their alignment.
 */
#ifndef FLATDB_H
#define FLATDB_H

#include <stddef.h>
#include <stdint.h>

#include "lmdb.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FLATDB_BAD_SCHEMA (-30500)   /* no schema, or one that the parser refuses */
#define FLATDB_BAD_RECORD (-30501)   /* a record is not what the schema says */
#define FLATDB_BAD_JSON (-30502)     /* the text is no JSON, or does not fit the schema */
#define FLATDB_BAD_KEY (-30503)      /* a key cannot be made, or two records have the same */
#define FLATDB_NOT_CONFORM (-30504)  /* the schema breaks what is stored by another */
#define FLATDB_BAD_TABLE (-30505)    /* there is no such table, or its entry in the catalog is of another kind */
#define FLATDB_STOPPED (-30506)      /* the caller's progress function said so */
#define FLATDB_BAD_ARGUMENT (-30507) /* the call itself is wrong */

typedef struct flatdb_error {
    int code;
    char text[2048]; /* UTF-8, ends with NUL */
} flatdb_error;

/* Memory that the library allocated: give it back by flatdb_free(data). */
typedef struct flatdb_bytes {
    char *data;
    size_t size;
} flatdb_bytes;

void flatdb_free(void *data);

/* The version of this interface: it grows when functions or fields are added; the SONAME, when they change. */
int flatdb_version(void);

/* --- schemas ----------------------------------------------------------------------------------------------------- */

/* A schema, and the table in it that records are. It may be used by many threads at once. */
typedef struct flatdb_schema flatdb_schema;

/* Read a schema: text (.fbs) or binary (.bfbs), which is seen by the bytes. `file` is its name for messages, and where
 * include statements begin to look; `include`, ended by NULL, are further folders (NULL: none). `root` is the table,
 * with its namespace; NULL: the schema's root_type. */
int flatdb_schema_new(const void *data, size_t size, const char *file, const char *const *include, const char *root,
                      flatdb_schema **schema, flatdb_error *error);
void flatdb_schema_free(flatdb_schema *schema);

/* Its binary form, and the name of its root. They live as long as the schema does. */
const void *flatdb_schema_binary(const flatdb_schema *schema, size_t *size);
const char *flatdb_schema_root(const flatdb_schema *schema);

/* Whether records of `older` can be read by `schema`, by FlatBuffers' rules of evolution. */
int flatdb_schema_conform(const flatdb_schema *schema, const flatdb_schema *older, flatdb_error *error);

/* --- one record -------------------------------------------------------------------------------------------------- */

/* Whether every offset of a record stays inside it, and every part is what the schema says. */
int flatdb_verify(const flatdb_schema *schema, const void *data, size_t size, flatdb_error *error);

/* The same of many records, in one call. On FLATDB_BAD_RECORD `count` (in: records) says which one. */
int flatdb_verify_many(const flatdb_schema *schema, const MDB_val *records, size_t *count, flatdb_error *error);

/* A record as one line of JSON, without the line's end; it is verified first. */
int flatdb_to_json(const flatdb_schema *schema, const void *data, size_t size, flatdb_bytes *json, flatdb_error *error);

/* A record from JSON text. Fields that the schema lacks are an error. */
int flatdb_from_json(const flatdb_schema *schema, const char *json, size_t size, flatdb_bytes *record,
                     flatdb_error *error);

/* Look up a key, verify the record, and say where in the map it is: until the transaction writes or ends. */
int flatdb_get(const flatdb_schema *schema, MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, MDB_val *record,
               flatdb_error *error);

/* The same with few and plain arguments, for interpreted languages, to which each costs more than the rest. */
typedef struct flatdb_reader {
    const flatdb_schema *schema;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val record; /* out */
    flatdb_error *error;
} flatdb_reader;

int flatdb_read(flatdb_reader *reader, const void *key, size_t key_size);

/* --- columns: Apache Arrow's C data interface ------------------------------------------------------------------- */

struct ArrowSchema;
struct ArrowArray;

/* Which fields, and how they are laid out. A decoder belongs to one thread at a time. */
typedef struct flatdb_columns flatdb_columns;

/* `paths`: fields, "name" or "position.x", in order; count 0: every field of the root. `key`: the codec of the keys (see
 * docs/tables.md), for columns "key" or "key.0", "key.1", ... before them; NULL: none.
 * A field that contains itself cannot be a column: FLATDB_BAD_ARGUMENT names it. */
int flatdb_columns_new(const flatdb_schema *schema, const char *const *paths, size_t count, const char *key,
                       flatdb_columns **columns, flatdb_error *error);
void flatdb_columns_free(flatdb_columns *columns);

/* The schema of a batch, a struct of the columns; the caller releases it. */
int flatdb_columns_schema(const flatdb_columns *columns, struct ArrowSchema *schema, flatdb_error *error);

/* Records as a batch, which owns copies of what it needs; the caller releases it. Of each record what is selected is
 * checked while it is read. `keys` may be NULL where there is no key column. On FLATDB_BAD_RECORD `count` (in: records)
 * says which one. */
int flatdb_columns_decode(flatdb_columns *columns, const MDB_val *keys, const MDB_val *values, size_t *count,
                          struct ArrowArray *array, flatdb_error *error);

/* --- whole tables ------------------------------------------------------------------------------------------------ */

/* Open an environment for the calls below: a process may do so once for each, and not if it has it open already. It grows
 * when it is full. map_size 0: the file's, or 1 GiB. */
int flatdb_open(const char *path, unsigned int flags, size_t map_size, MDB_env **env, flatdb_error *error);
void flatdb_close(MDB_env *env);

typedef struct flatdb_counts {
    uint64_t records;  /* stored, written or looked at */
    uint64_t bytes;    /* of input read, or of output written */
    uint64_t total;    /* bytes of the input, where that is known; else 0 */
    uint64_t replaced; /* import: there was a record with this key */
    uint64_t kept;     /* import: there was one, and it stayed */
    uint64_t bad;      /* check: problems; import: left out */
    uint64_t resumed;  /* import: records that an interrupted import had stored before */
} flatdb_counts;

/* Called some ten times a second, and at the end; what is not 0 stops the work after its last commit. */
typedef int flatdb_progress(void *context, const flatdb_counts *counts);

/* Called for each thing that is wrong: `key` as text, and what; import: the place in the file, and why it is left out.
 * What is not 0 stops. */
typedef int flatdb_problem(void *context, const char *key, const char *text);

/* What becomes of a record whose key is there already. */
#define FLATDB_REFUSE 0u
#define FLATDB_REPLACE 1u
#define FLATDB_KEEP 2u

typedef struct flatdb_import_options {
    const char *table;
    const char *file;           /* JSON: one array, or values one behind the other, such as NDJSON; "-": standard input */
    const flatdb_schema *schema; /* NULL: the one that is stored with the table */
    const char *key;            /* expression, "": numbers; NULL: the table's, else the field with the attribute `key`,
                                 * else numbers */
    const char *const *indexes; /* "name=expression", "name=expression unique"; ended by NULL; NULL: the table's */
    unsigned int duplicates;    /* FLATDB_REFUSE, FLATDB_REPLACE, FLATDB_KEEP */
    int skip_bad;               /* leave out what is no record, and say so to `problem`; else it ends the import */
    int skip_unknown;           /* leave out fields that the schema lacks; else they are an error */
    int restart;                /* begin at the file's first record, whatever an interrupted import had stored */
    uint64_t batch;             /* records of a transaction; 0: 100,000 */
    flatdb_progress *progress;  /* may be NULL, as may problem */
    flatdb_problem *problem;
    void *context;
} flatdb_import_options;

/* Store the records of a file. Each transaction stores with its records how far it came, so that the same import after an
 * interruption, at whatever moment, goes on behind the last record stored. */
int flatdb_import(MDB_env *env, const flatdb_import_options *options, flatdb_counts *counts, flatdb_error *error);

typedef struct flatdb_export_options {
    const char *table;
    const char *file; /* "-": standard output. A file appears when it is whole. */
    const char *lower; /* keys as text, or their first parts; the upper end not included; NULL: no bound */
    const char *upper;
    const char *index; /* in the order of this index; NULL: of the keys. The bounds are then the index's keys. */
    uint64_t limit;    /* records; 0: all */
    int array;         /* one JSON array in place of NDJSON */
    flatdb_progress *progress;
    void *context;
} flatdb_export_options;

int flatdb_export(MDB_env *env, const flatdb_export_options *options, flatdb_counts *counts, flatdb_error *error);

/* The record of a key, given as text ("17", or "DE,Berlin" for a key of two parts), as JSON; of an index's key all its
 * records, one a line. */
int flatdb_lookup(MDB_env *env, const char *table, const char *index, const char *key, flatdb_bytes *json,
                  flatdb_error *error);

/* What there is: the tables (table NULL) or one of them, as JSON: for each its name, key, value, root, schema's version,
 * records, bytes of its pages, depth, and its indexes with their records. */
int flatdb_stat(MDB_env *env, const char *table, flatdb_bytes *json, flatdb_error *error);

/* Check every record against the schema, its key against its fields, and every index against the records, both ways. */
int flatdb_check(MDB_env *env, const char *table, flatdb_progress *progress, flatdb_problem *problem, void *context,
                 flatdb_counts *counts, flatdb_error *error);

/* Make an index of the table's anew from the records, or all of them (index NULL), also those that are gone. */
int flatdb_reindex(MDB_env *env, const char *table, const char *index, flatdb_progress *progress, void *context,
                   flatdb_counts *counts, flatdb_error *error);

#ifdef __cplusplus
}
#endif

#endif
