/* A C program over liblmdb: it writes records, finds them again in order, and says which LMDB that was.
 *
 *   program FOLDER [HOW]             where it was linked with the library
 *   program LIBRARY FOLDER [HOW]     where it was compiled with -DLOADED: it opens the library itself
 *
 * HOW is for systems that lack something: "unlocked" opens the environment with MDB_NOLOCK, "reading" writes nothing, and
 * finds what was written before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lmdb.h"

#define RECORDS 1000

#define FUNCTIONS(F) \
    F(mdb_version) F(mdb_strerror) F(mdb_env_create) F(mdb_env_set_maxdbs) F(mdb_env_set_mapsize) F(mdb_env_open) \
    F(mdb_env_close) F(mdb_txn_begin) F(mdb_txn_commit) F(mdb_txn_abort) F(mdb_dbi_open) F(mdb_put) F(mdb_get) \
    F(mdb_cursor_open) F(mdb_cursor_get) F(mdb_cursor_close)

#ifdef LOADED

#ifdef _WIN32
#include <windows.h>
#define OPEN(path) ((void *)LoadLibraryA(path))
#define FIND(library, name) ((void *)GetProcAddress((HMODULE)(library), name))
static const char *problem(void) { return "LoadLibrary or GetProcAddress fails"; }
#else
#include <dlfcn.h>
#define OPEN(path) dlopen(path, RTLD_NOW | RTLD_LOCAL)
#define FIND(library, name) dlsym(library, name)
static const char *problem(void) { return dlerror(); }
#endif

static struct {
#define FIELD(name) __typeof__(name) *name;
    FUNCTIONS(FIELD)
} lmdb;

static void load(const char *path)
{
    void *library = OPEN(path);
    if (library == NULL) {
        fprintf(stderr, "%s: %s\n", path, problem());
        exit(EXIT_FAILURE);
    }
#define TAKE(name) \
    if ((lmdb.name = (__typeof__(name) *)FIND(library, #name)) == NULL) { \
        fprintf(stderr, "%s: %s\n", #name, problem()); \
        exit(EXIT_FAILURE); \
    }
    FUNCTIONS(TAKE)
}

#else

static const struct {
#define FIELD(name) __typeof__(name) *name;
    FUNCTIONS(FIELD)
} lmdb = {
#define TAKE(name) .name = name,
    FUNCTIONS(TAKE)
};

#endif

static void check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS) {
        fprintf(stderr, "%s: %s (%d)\n", what, lmdb.mdb_strerror(rc), rc);
        exit(EXIT_FAILURE);
    }
}

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s: it is not so\n", what);
        exit(EXIT_FAILURE);
    }
}

static MDB_val text(const char *characters)
{
    MDB_val value = {strlen(characters), (void *)characters};
    return value;
}

int main(int argc, char **argv)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    char number[16];
    int unlocked, reading;
    int count, rc, major, minor, patch;

#ifdef LOADED
    if (argc < 3)
        return 2;
    load(argv[1]);
    argv++, argc--;
#endif
    if (argc < 2)
        return 2;
    unlocked = argc > 2 && strcmp(argv[2], "unlocked") == 0;
    reading = argc > 2 && strcmp(argv[2], "reading") == 0;

    check(lmdb.mdb_env_create(&env), "mdb_env_create");
    check(lmdb.mdb_env_set_maxdbs(env, 1), "mdb_env_set_maxdbs");
    check(lmdb.mdb_env_set_mapsize(env, 1 << 24), "mdb_env_set_mapsize");
    check(lmdb.mdb_env_open(env, argv[1], (unlocked ? MDB_NOLOCK : 0) | (reading ? MDB_RDONLY : 0), 0644), "mdb_env_open");

    check(lmdb.mdb_txn_begin(env, NULL, reading ? MDB_RDONLY : 0, &txn), "mdb_txn_begin");
    check(lmdb.mdb_dbi_open(txn, "plants", reading ? 0 : MDB_CREATE, &dbi), "mdb_dbi_open");
    for (count = RECORDS; !reading && count-- > 0;) {
        sprintf(number, "%04d", count);
        key = text(number);
        value = text("a value");
        check(lmdb.mdb_put(txn, dbi, &key, &value, 0), "mdb_put");
    }
    check(lmdb.mdb_txn_commit(txn), "mdb_txn_commit");

    check(lmdb.mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    key = text("0500");
    check(lmdb.mdb_get(txn, dbi, &key, &value), "mdb_get");
    expect(value.mv_size == 7 && memcmp(value.mv_data, "a value", 7) == 0, "the value is what was stored");
    key = text("none");
    expect(lmdb.mdb_get(txn, dbi, &key, &value) == MDB_NOTFOUND, "what was not stored is not found");
    check(lmdb.mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    for (count = 0; (rc = lmdb.mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS; count++) {
        sprintf(number, "%04d", count);
        expect(key.mv_size == 4 && memcmp(key.mv_data, number, 4) == 0, "the keys come in order");
    }
    expect(rc == MDB_NOTFOUND && count == RECORDS, "there are as many as were stored");
    lmdb.mdb_cursor_close(cursor);
    lmdb.mdb_txn_abort(txn);
    lmdb.mdb_env_close(env);

    lmdb.mdb_version(&major, &minor, &patch);
    printf("LMDB %d.%d.%d, %d records\n", major, minor, patch, count);
    return EXIT_SUCCESS;
}
