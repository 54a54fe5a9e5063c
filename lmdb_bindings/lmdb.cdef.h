/* The C API that the binding calls, for CFFI. One text for both engines: on 64-bit platforms their structures and
 * functions agree, and the tests compile these prototypes against both headers. generate_abi.py turns it into
 * src/lmdb_bindings/_abi.py. */

typedef struct MDB_env MDB_env;
typedef struct MDB_txn MDB_txn;
typedef struct MDB_cursor MDB_cursor;
typedef unsigned int MDB_dbi;
typedef unsigned int MDB_cursor_op;
typedef unsigned int mdb_mode_t;
typedef int mdb_filehandle_t;
typedef int (*mdb_msg_func)(const char *message, void *context);

typedef struct {
    size_t mv_size;
    void *mv_data;
} MDB_val;

typedef struct {
    unsigned int ms_psize;
    unsigned int ms_depth;
    size_t ms_branch_pages;
    size_t ms_leaf_pages;
    size_t ms_overflow_pages;
    size_t ms_entries;
} MDB_stat;

typedef struct {
    void *me_mapaddr;
    size_t me_mapsize;
    size_t me_last_pgno;
    size_t me_last_txnid;
    unsigned int me_maxreaders;
    unsigned int me_numreaders;
} MDB_envinfo;

/* both engines */

char *mdb_version(int *major, int *minor, int *patch);
char *mdb_strerror(int err);

int mdb_env_create(MDB_env **env);
int mdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode);
void mdb_env_close(MDB_env *env);
int mdb_env_copy2(MDB_env *env, const char *path, unsigned int flags);
int mdb_env_copy3(MDB_env *env, const char *path, unsigned int flags, MDB_txn *txn);
int mdb_env_copyfd2(MDB_env *env, mdb_filehandle_t fd, unsigned int flags);
int mdb_env_copyfd3(MDB_env *env, mdb_filehandle_t fd, unsigned int flags, MDB_txn *txn);
int mdb_env_stat(MDB_env *env, MDB_stat *stat);
int mdb_env_info(MDB_env *env, MDB_envinfo *info);
int mdb_env_sync(MDB_env *env, int force);
int mdb_env_get_flags(MDB_env *env, unsigned int *flags);
int mdb_env_set_mapsize(MDB_env *env, size_t size);
int mdb_env_set_maxreaders(MDB_env *env, unsigned int readers);
int mdb_env_get_maxreaders(MDB_env *env, unsigned int *readers);
int mdb_env_set_maxdbs(MDB_env *env, MDB_dbi dbs);
int mdb_env_get_maxkeysize(MDB_env *env);
int mdb_reader_list(MDB_env *env, mdb_msg_func callback, void *context);
int mdb_reader_check(MDB_env *env, int *dead);

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn);
size_t mdb_txn_id(MDB_txn *txn);
int mdb_txn_commit(MDB_txn *txn);
void mdb_txn_abort(MDB_txn *txn);
void mdb_txn_reset(MDB_txn *txn);
int mdb_txn_renew(MDB_txn *txn);

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags, MDB_dbi *dbi);
int mdb_dbi_flags(MDB_txn *txn, MDB_dbi dbi, unsigned int *flags);
int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat);
int mdb_drop(MDB_txn *txn, MDB_dbi dbi, int del);
int mdb_cmp(MDB_txn *txn, MDB_dbi dbi, const MDB_val *a, const MDB_val *b);

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
void mdb_cursor_close(MDB_cursor *cursor);
int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags);
int mdb_cursor_del(MDB_cursor *cursor, unsigned int flags);
int mdb_cursor_count(MDB_cursor *cursor, size_t *count);

/* LMDB 1.0 alone */

typedef int (*mdb_enc_func)(const MDB_val *src, MDB_val *dst, const MDB_val *key, int encdec);
typedef void (*mdb_sum_func)(const MDB_val *src, MDB_val *dst, const MDB_val *key);

int mdb_env_set_pagesize(MDB_env *env, int size);
int mdb_env_set_encrypt(MDB_env *env, mdb_enc_func func, const MDB_val *key, unsigned int size);
int mdb_env_set_checksum(MDB_env *env, mdb_sum_func func, unsigned int size);
int mdb_env_incr_dumpfd(MDB_env *env, mdb_filehandle_t fd, size_t txnid);
int mdb_env_incr_loadfd(MDB_env *env, mdb_filehandle_t fd);
int mdb_env_rollback(MDB_env *env, size_t txnid);
int mdb_txn_prepare(MDB_txn *txn);
