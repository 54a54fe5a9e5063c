/* The limit: the works of worker.py in C, over the same liblmdb. It takes pointers into the map and copies nothing out.
 *
 *     limit FOLDER NAME MANY FEW READERS
 *
 * Speaks worker.py's protocol; its own work `fill` makes the large database whose scan is weighed.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lmdb.h"

#define CHECK(call) check((call), #call, __LINE__)

enum { KEY_SIZE = 16, VALUE_SIZE = 100, MEMORY_VALUE_SIZE = 1000, MEMORY_RECORDS = 300000, PATH_SIZE = 4096 };
static const size_t SMALL_MAP = (size_t)1 << 26, LARGE_MAP = (size_t)1 << 30;

typedef struct {
    MDB_env *env;
    MDB_dbi dbi;
} database;

typedef struct {
    char *data;
    size_t count;
} keys;

static const char *shared, *own;
static size_t many, few; /* keys of one call, records of a short range */
static int readers_count;
static keys small_keys, ordered_keys; /* the latter only the first `many`, in their order */
static database small, written, empty;
static char value[MEMORY_VALUE_SIZE];
static volatile size_t seen; /* of the values: what is not looked at might be left out */
static pthread_barrier_t ready;

static void check(int rc, const char *call, int line)
{
    if (rc == MDB_SUCCESS)
        return;
    fprintf(stderr, "limit.c:%d: %s: %s\n", line, call, mdb_strerror(rc));
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static const char *path_of(const char *folder, const char *name)
{
    static char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static keys read_keys(const char *name)
{
    keys found;
    struct stat status;
    FILE *stream = fopen(path_of(shared, name), "rb");
    if (stream == NULL || fstat(fileno(stream), &status) != 0) {
        perror(name);
        exit(1);
    }
    found.count = (size_t)status.st_size / KEY_SIZE;
    found.data = malloc((size_t)status.st_size);
    if (found.data == NULL || fread(found.data, KEY_SIZE, found.count, stream) != found.count)
        exit(1);
    fclose(stream);
    return found;
}

static database open_database(const char *path, size_t map_size)
{
    database found;
    MDB_txn *txn;
    mkdir(path, 0755);
    CHECK(mdb_env_create(&found.env));
    CHECK(mdb_env_set_mapsize(found.env, map_size));
    CHECK(mdb_env_open(found.env, path, MDB_NOSYNC | MDB_NOTLS, 0644));
    CHECK(mdb_txn_begin(found.env, NULL, 0, &txn));
    CHECK(mdb_dbi_open(txn, NULL, 0, &found.dbi));
    CHECK(mdb_txn_commit(txn));
    return found;
}

static void put_all(MDB_txn *txn, MDB_dbi dbi, keys from, size_t count, size_t size, unsigned flags)
{
    MDB_cursor *cursor;
    CHECK(mdb_cursor_open(txn, dbi, &cursor));
    for (size_t i = 0; i < count; i++) {
        MDB_val k = {KEY_SIZE, from.data + i * KEY_SIZE}, v = {size, value};
        CHECK(mdb_cursor_put(cursor, &k, &v, flags));
    }
    mdb_cursor_close(cursor);
}

static void get_all(MDB_txn *txn, MDB_dbi dbi)
{
    size_t sum = 0;
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v;
        CHECK(mdb_get(txn, dbi, &k, &v));
        sum += *(unsigned char *)v.mv_data;
    }
    seen += sum;
}

static void fill(database into, keys from)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(into.env, NULL, 0, &txn));
    put_all(txn, into.dbi, from, from.count, VALUE_SIZE, 0);
    CHECK(mdb_txn_commit(txn));
}

static void open_close(void)
{
    mdb_env_close(open_database(path_of(own, "opened"), SMALL_MAP).env);
}

static void get(void)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    get_all(txn, small.dbi);
    mdb_txn_abort(txn);
}

/* By a cursor, which looks at the page that it is on before it goes down the tree. */
static void get_some(keys from)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t sum = 0;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
    for (size_t i = 0; i < many; i++) {
        MDB_val k = {KEY_SIZE, from.data + i * KEY_SIZE}, v;
        CHECK(mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY));
        sum += *(unsigned char *)v.mv_data;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    seen += sum;
}

static void get_many(void) { get_some(small_keys); }
static void get_many_ordered(void) { get_some(ordered_keys); }

static void put(void)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(empty.env, NULL, 0, &txn));
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v = {VALUE_SIZE, value};
        CHECK(mdb_put(txn, empty.dbi, &k, &v, 0));
    }
    mdb_txn_abort(txn);
}

static void put_some(keys from)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(empty.env, NULL, 0, &txn));
    put_all(txn, empty.dbi, from, many, VALUE_SIZE, 0);
    mdb_txn_abort(txn);
}

static void put_many(void) { put_some(small_keys); }
static void put_many_ordered(void) { put_some(ordered_keys); }

/* Each record by one like it, which has the size of the old one: it is looked for once. */
static void replace(void)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t sum = 0;
    CHECK(mdb_txn_begin(small.env, NULL, 0, &txn));
    CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, old, new = {VALUE_SIZE, value};
        CHECK(mdb_cursor_get(cursor, &k, &old, MDB_SET_KEY));
        sum += *(unsigned char *)old.mv_data;
        CHECK(mdb_cursor_put(cursor, &k, &new, MDB_CURRENT));
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    seen += sum;
}

static void pop(void)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t sum = 0;
    CHECK(mdb_txn_begin(small.env, NULL, 0, &txn));
    CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v;
        CHECK(mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY));
        sum += *(unsigned char *)v.mv_data;
        CHECK(mdb_cursor_del(cursor, 0));
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    seen += sum;
}

static void delete(void)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(small.env, NULL, 0, &txn));
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE};
        CHECK(mdb_del(txn, small.dbi, &k, NULL));
    }
    mdb_txn_abort(txn);
}

static void seek(void)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t sum = 0;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
    for (size_t i = 0; i < small_keys.count; i++) {
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v;
        CHECK(mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY));
        sum += *(unsigned char *)v.mv_data;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    seen += sum;
}

static void range(void)
{
    MDB_txn *txn;
    size_t sum = 0;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    for (size_t i = 0; i < many; i++) {
        MDB_cursor *cursor;
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v;
        int rc;
        CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        for (size_t count = 0; rc == MDB_SUCCESS && count < few; count++) {
            sum += *(unsigned char *)k.mv_data + *(unsigned char *)v.mv_data;
            rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        }
        if (rc != MDB_NOTFOUND)
            CHECK(rc);
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    seen += sum;
}

static void iterate(void)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k, v;
    size_t sum = 0;
    int rc;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    CHECK(mdb_cursor_open(txn, small.dbi, &cursor));
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == MDB_SUCCESS)
        sum += *(unsigned char *)k.mv_data + *(unsigned char *)v.mv_data;
    if (rc != MDB_NOTFOUND)
        CHECK(rc);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    seen += sum;
}

static void begin(void)
{
    size_t sum = 0;
    for (size_t i = 0; i < many; i++) {
        MDB_txn *txn;
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v;
        CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
        CHECK(mdb_get(txn, small.dbi, &k, &v));
        sum += *(unsigned char *)v.mv_data;
        mdb_txn_abort(txn);
    }
    seen += sum;
}

static void write_each(void)
{
    for (size_t i = 0; i < many; i++) {
        MDB_txn *txn;
        MDB_val k = {KEY_SIZE, small_keys.data + i * KEY_SIZE}, v = {VALUE_SIZE, value};
        CHECK(mdb_txn_begin(written.env, NULL, 0, &txn));
        CHECK(mdb_put(txn, written.dbi, &k, &v, 0));
        CHECK(mdb_txn_commit(txn));
    }
}

static void *read_alone(void *passes)
{
    MDB_txn *txn;
    CHECK(mdb_txn_begin(small.env, NULL, MDB_RDONLY, &txn));
    pthread_barrier_wait(&ready);
    for (int i = 0; i < *(int *)passes; i++)
        get_all(txn, small.dbi);
    mdb_txn_abort(txn);
    return NULL;
}

static long long readers(int passes)
{
    pthread_t threads[64];
    long long start;
    pthread_barrier_init(&ready, NULL, (unsigned)readers_count + 1);
    for (int i = 0; i < readers_count; i++)
        CHECK(pthread_create(&threads[i], NULL, read_alone, &passes));
    start = now(); /* before the last comes to the barrier: the others may run before this thread does */
    pthread_barrier_wait(&ready);
    for (int i = 0; i < readers_count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&ready);
    return now() - start;
}

static int compare_keys(const void *a, const void *b) { return memcmp(a, b, KEY_SIZE); }

static void remove_database(const char *folder)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/load/data.mdb", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/load/lock.mdb", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/load", folder);
    rmdir(path);
}

static long long load(int sorted)
{
    keys from = read_keys("large.keys");
    database into = open_database(path_of(own, "load"), LARGE_MAP);
    MDB_txn *txn;
    long long start;
    if (sorted)
        qsort(from.data, from.count, KEY_SIZE, compare_keys);
    start = now();
    CHECK(mdb_txn_begin(into.env, NULL, 0, &txn));
    put_all(txn, into.dbi, from, from.count, VALUE_SIZE, sorted ? MDB_APPEND : 0);
    CHECK(mdb_txn_commit(txn));
    start = now() - start;
    mdb_env_close(into.env);
    remove_database(own);
    free(from.data);
    return start;
}

/* The database of the work `memory`: some 300 MB. */
static void fill_memory(void)
{
    database into = open_database(path_of(shared, "memory"), LARGE_MAP);
    MDB_txn *txn;
    keys from = read_keys("large.keys");
    if (from.count > MEMORY_RECORDS)
        from.count = MEMORY_RECORDS;
    qsort(from.data, from.count, KEY_SIZE, compare_keys);
    CHECK(mdb_txn_begin(into.env, NULL, 0, &txn));
    put_all(txn, into.dbi, from, from.count, MEMORY_VALUE_SIZE, MDB_APPEND);
    CHECK(mdb_txn_commit(txn));
    mdb_env_close(into.env);
    free(from.data);
}

static const struct {
    const char *name;
    void (*pass)(void);
} works[] = {
    {"open", open_close},
    {"get", get},
    {"put", put},
    {"replace", replace},
    {"pop", pop},
    {"delete", delete},
    {"seek", seek},
    {"step", iterate},
    {"step_item", iterate},
    {"range", range},
    {"iterate", iterate},
    {"iterate_keys", iterate},
    {"begin", begin},
    {"begin_with", begin},
    {"write", write_each},
    {"scan", iterate},
    {"getmulti", get_many},
    {"getmany", get_many},
    {"getmany_ordered", get_many_ordered},
    {"putmulti", put_many},
    {"putmany", put_many},
    {"putmany_ordered", put_many_ordered},
    {"fill", fill_memory},
};

static long long round_of(const char *work, int passes)
{
    long long start = now();
    if (strcmp(work, "readers") == 0)
        return readers(passes);
    if (strcmp(work, "load_sorted") == 0)
        return load(1);
    if (strcmp(work, "load_random") == 0)
        return load(0);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(work, works[i].name) == 0) {
            for (int pass = 0; pass < passes; pass++)
                works[i].pass();
            return now() - start;
        }
    fprintf(stderr, "no work %s\n", work);
    exit(1);
}

int main(int argc, char **argv)
{
    static char folder[PATH_SIZE];
    char work[32];
    int passes;
    database opened;
    if (argc != 6)
        return 2;
    shared = argv[1];
    snprintf(folder, sizeof folder, "%s/%s", shared, argv[2]);
    own = folder;
    many = strtoul(argv[3], NULL, 10);
    few = strtoul(argv[4], NULL, 10);
    readers_count = atoi(argv[5]);
    mkdir(own, 0755);
    memset(value, 'v', sizeof value);
    small_keys = read_keys("small.keys");
    ordered_keys = read_keys("small.keys");
    qsort(ordered_keys.data, many, KEY_SIZE, compare_keys);
    small = open_database(path_of(own, "small"), SMALL_MAP);
    written = open_database(path_of(own, "written"), SMALL_MAP);
    empty = open_database(path_of(own, "empty"), SMALL_MAP);
    opened = open_database(path_of(own, "opened"), SMALL_MAP);
    fill(small, small_keys);
    fill(written, small_keys);
    fill(opened, small_keys);
    mdb_env_close(opened.env);
    printf("ready %ld\n", (long)getpid());
    fflush(stdout);
    while (scanf("%31s %d", work, &passes) == 2) {
        printf("%lld\n", round_of(work, passes));
        fflush(stdout);
    }
    return 0;
}
