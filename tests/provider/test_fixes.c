/* What the insertions in vendor/lock.toml mend in LMDB: `test_fixes NAME FOLDER`. Exit status 0, or a message and 1. */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lmdb.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1); \
        } \
    } while (0)

#define EXPECT(result, expression) \
    do { \
        int rc_ = (expression); \
        if (rc_ != (result)) { \
            fprintf(stderr, "%s:%d: %s: %s gives %d (%s), not %d\n", __FILE__, __LINE__, __func__, #expression, rc_, \
                    mdb_strerror(rc_), (result)); \
            exit(1); \
        } \
    } while (0)

#define OK(expression) EXPECT(0, expression)

enum { PAGE = 4096, P_LEAF = 2, P_LEAF2 = 0x20 };

static const char *folder;

static const char *file_in_folder(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static MDB_env *new_env(void)
{
    MDB_env *env;
    OK(mdb_env_create(&env));
    OK(mdb_env_set_mapsize(env, (size_t)1 << 28));
    OK(mdb_env_set_maxdbs(env, 8));
    return env;
}

static MDB_env *opened_with(MDB_env *env, const char *name, unsigned flags)
{
    OK(mdb_env_open(env, file_in_folder(name), MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC | flags, 0600));
    return env;
}

static MDB_env *opened(MDB_env *env, const char *name)
{
    return opened_with(env, name, 0);
}

static MDB_txn *begin(MDB_env *env, unsigned flags, MDB_dbi *dbi)
{
    MDB_txn *txn;
    OK(mdb_txn_begin(env, NULL, flags, &txn));
    OK(mdb_dbi_open(txn, NULL, 0, dbi));
    return txn;
}

static int put(MDB_txn *txn, MDB_dbi dbi, const char *key, const void *value, size_t size)
{
    return mdb_put(txn, dbi, &(MDB_val){strlen(key), (void *)key}, &(MDB_val){size, (void *)value}, 0);
}

static void put_one(MDB_env *env, const char *key, const char *value)
{
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi);
    OK(put(txn, dbi, key, value, strlen(value)));
    OK(mdb_txn_commit(txn));
}

static int holds(MDB_txn *txn, MDB_dbi dbi, const char *key, const char *value)
{
    MDB_val found;
    return mdb_get(txn, dbi, &(MDB_val){strlen(key), (void *)key}, &found) == 0 && found.mv_size == strlen(value) &&
           !memcmp(found.mv_data, value, found.mv_size);
}

static int has(MDB_env *env, const char *key, const char *value)
{
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, MDB_RDONLY, &dbi);
    int same = holds(txn, dbi, key, value);
    mdb_txn_abort(txn);
    return same;
}

/* --- the order of keys: both engines ------------------------------------------------------------------------------ */

static int order(const unsigned char *a, size_t a_size, const unsigned char *b, size_t b_size)
{
    for (size_t i = 0; i < a_size && i < b_size; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return (a_size > b_size) - (a_size < b_size);
}

/* Keys of every length to 50, at every alignment, that differ first at every place, or not at all. */
static void order_of_keys(void)
{
    static const unsigned char BYTES[] = {0, 1, 127, 128, 255};
    unsigned char left[64], right[64];
    MDB_env *env = opened(new_env(), "db");
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, MDB_RDONLY, &dbi);
    srand(1);
    for (int i = 0; i < 2000000; i++) {
        size_t left_size = 1 + rand() % 50, right_size = rand() % 2 ? left_size : 1 + rand() % 50;
        unsigned char *a = left + rand() % 8, *b = right + rand() % 8;
        for (size_t j = 0; j < left_size; j++)
            a[j] = BYTES[rand() % 5];
        for (size_t j = 0; j < right_size; j++)
            b[j] = j < left_size ? a[j] : BYTES[rand() % 5];
        for (int changes = rand() % 3; changes; changes--)
            b[rand() % right_size] = BYTES[rand() % 5];
        int found = mdb_cmp(txn, dbi, &(MDB_val){left_size, a}, &(MDB_val){right_size, b});
        CHECK((found > 0) - (found < 0) == order(a, left_size, b, right_size));
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

/* --- commits: both engines ---------------------------------------------------------------------------------------- */

static void writemap_emptied(void)
{
    MDB_env *env = opened_with(new_env(), "db", MDB_WRITEMAP);
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_stat stat;
    char key[20];
    for (int round = 0; round < 3; round++) {
        MDB_txn *txn = begin(env, 0, &dbi);
        for (int i = 0; i < 20000; i++) {
            sprintf(key, "%016d", i);
            OK(put(txn, dbi, key, key, 16));
        }
        OK(mdb_txn_commit(txn));
        txn = begin(env, 0, &dbi);
        OK(mdb_cursor_open(txn, dbi, &cursor));
        while (mdb_cursor_get(cursor, &(MDB_val){0}, &(MDB_val){0}, MDB_NEXT) == 0)
            OK(mdb_cursor_del(cursor, 0));
        mdb_cursor_close(cursor);
        OK(mdb_txn_commit(txn));
        txn = begin(env, MDB_RDONLY, &dbi);
        OK(mdb_stat(txn, dbi, &stat));
        CHECK(stat.ms_entries == 0 && stat.ms_depth == 0);
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
}

static void number_of_commit(MDB_env *env)
{
    MDB_dbi dbi;
    MDB_txn *txn = begin(env, 0, &dbi);
    size_t number = mdb_txn_id(txn);
    OK(put(txn, dbi, "number", &number, sizeof number));
    OK(mdb_txn_commit(txn));
}

static MDB_env *raced; /* what others commit to while a reader copies its meta page; NULL: nobody does */
static int commits;

/* Instead of memcpy in the build for this test. */
void *raced_memcpy(void *to, const void *from, size_t size)
{
    MDB_env *env = raced;
    raced = NULL;
    memmove(to, from, size / 2);
    for (int i = 0; env && i < commits; i++)
        number_of_commit(env);
    memmove((char *)to + size / 2, (const char *)from + size / 2, size - size / 2);
    return to;
}

static void raced_readers(void)
{
    MDB_env *env = opened(new_env(), "db");
    MDB_dbi dbi;
    MDB_val found;
    number_of_commit(env);
    for (commits = 0; commits < 6; commits++) {
        raced = env;
        MDB_txn *txn;
        OK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
        CHECK(raced == NULL); /* it has happened */
        OK(mdb_dbi_open(txn, NULL, 0, &dbi));
        OK(mdb_get(txn, dbi, &(MDB_val){6, "number"}, &found));
        size_t number;
        memmove(&number, found.mv_data, sizeof number);
        CHECK(number == mdb_txn_id(txn));
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
}

/* --- compacting copies: both engines ------------------------------------------------------------------------------ */

/* To a descriptor of its own, since for a path LMDB 1.0 sets O_DIRECT, which some file systems refuse. */
static int compact(MDB_env *env, const char *name)
{
    int fd = open(file_in_folder(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    int rc = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
    close(fd);
    return rc;
}

/* Compare every record, and the counts of pages; gives the records. */
static size_t same_records(MDB_env *left, MDB_env *right, const char *name)
{
    MDB_env *envs[2] = {left, right};
    MDB_txn *txn[2];
    MDB_cursor *cursor[2];
    MDB_stat stat[2];
    MDB_val key[2], value[2];
    MDB_dbi dbi;
    int rc[2];
    size_t count = 0;
    memset(stat, 0, sizeof stat);
    for (int i = 0; i < 2; i++) {
        OK(mdb_txn_begin(envs[i], NULL, MDB_RDONLY, &txn[i]));
        OK(mdb_dbi_open(txn[i], name, 0, &dbi));
        OK(mdb_stat(txn[i], dbi, &stat[i]));
        OK(mdb_cursor_open(txn[i], dbi, &cursor[i]));
    }
    CHECK(!memcmp(&stat[0], &stat[1], sizeof stat[0]));
    for (;; count++) {
        for (int i = 0; i < 2; i++)
            rc[i] = mdb_cursor_get(cursor[i], &key[i], &value[i], MDB_NEXT);
        CHECK(rc[0] == rc[1] && (rc[0] == 0 || rc[0] == MDB_NOTFOUND));
        if (rc[0])
            break;
        CHECK(key[0].mv_size == key[1].mv_size && !memcmp(key[0].mv_data, key[1].mv_data, key[0].mv_size));
        /* A record of the main database may be another database, and that has its root elsewhere. */
        CHECK(value[0].mv_size == value[1].mv_size);
        CHECK(!name || !memcmp(value[0].mv_data, value[1].mv_data, value[0].mv_size));
    }
    for (int i = 0; i < 2; i++) {
        mdb_cursor_close(cursor[i]);
        mdb_txn_abort(txn[i]);
    }
    CHECK(count == stat[0].ms_entries);
    return count;
}

/* Values in a sub-page, in a sub-tree of two levels and in one of three; of several sizes; beside other databases. */
static void fill_dupfixed(MDB_env *env)
{
    static const char *const NAMES[] = {"eight", "integers", "short", "plain", "dups"};
    static const unsigned FLAGS[] = {MDB_DUPSORT | MDB_DUPFIXED, MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP,
                                     MDB_DUPSORT | MDB_DUPFIXED, 0, MDB_DUPSORT};
    static const unsigned COUNTS[] = {5, 3000, 200000};
    static const char *const KEYS[] = {"few", "many", "very many"};
    static char large[20000];
    MDB_txn *txn;
    MDB_dbi dbi;
    OK(mdb_txn_begin(env, NULL, 0, &txn));
    for (int d = 0; d < 5; d++) {
        OK(mdb_dbi_open(txn, NAMES[d], MDB_CREATE | FLAGS[d], &dbi));
        for (int k = 0; k < 3; k++)
            for (unsigned i = 0; i < (d == 3 ? 1 : COUNTS[k]) && (d == 0 || i < 3000); i++) {
                char text[16], pair[2] = {(char)(i >> 8), (char)i};
                MDB_val value = {8, text};
                sprintf(text, "%08u", i);
                if (d == 1)
                    value = (MDB_val){sizeof i, &i};
                else if (d == 2)
                    value = (MDB_val){2, pair};
                else if (d == 3)
                    value = (MDB_val){sizeof large, memset(large, 'a' + k, sizeof large)};
                OK(mdb_put(txn, dbi, &(MDB_val){strlen(KEYS[k]), (void *)KEYS[k]}, &value, 0));
            }
    }
    OK(mdb_txn_commit(txn));
}

static void same_dupfixed(MDB_env *env, MDB_env *copy)
{
    CHECK(same_records(env, copy, NULL) == 5);
    CHECK(same_records(env, copy, "eight") == 203005);
    CHECK(same_records(env, copy, "integers") == 6005);
    CHECK(same_records(env, copy, "short") == 6005);
    CHECK(same_records(env, copy, "dups") == 6005);
    CHECK(same_records(env, copy, "plain") == 3);
}

static void compact_dupfixed(void)
{
    MDB_env *env = opened(new_env(), "db"), *copy;
    fill_dupfixed(env);
    OK(compact(env, "copy"));
    copy = opened(new_env(), "copy");
    same_dupfixed(env, copy);
    mdb_env_close(copy);
    mdb_env_close(env);
}

/* The main database, not a named one. */
static void compact_dupfixed_main(void)
{
    MDB_env *env = opened(new_env(), "db"), *copy;
    MDB_txn *txn;
    MDB_dbi dbi;
    OK(mdb_txn_begin(env, NULL, 0, &txn));
    OK(mdb_dbi_open(txn, NULL, MDB_DUPSORT | MDB_DUPFIXED, &dbi));
    for (unsigned i = 0; i < 3000; i++) {
        char value[16];
        sprintf(value, "%08u", i);
        OK(put(txn, dbi, "one", value, 8));
    }
    OK(mdb_txn_commit(txn));
    OK(compact(env, "copy"));
    copy = opened(new_env(), "copy");
    CHECK(same_records(env, copy, NULL) == 3000);
    mdb_env_close(copy);
    mdb_env_close(env);
}

/* A file that calls the root of its main database a page of equal sizes, which only sub-trees have. */
static void compact_damaged(void)
{
    MDB_env *env = opened(new_env(), "db");
    unsigned char page[PAGE];
    int fd, damaged = 0;
    size_t pad = MDB_VERSION_MAJOR ? 16 : 8; /* behind the page's number and, in 1.0, its transaction's */
    put_one(env, "key", "value");
    mdb_env_close(env);
    fd = open(file_in_folder("db"), O_RDWR);
    for (off_t offset = 2 * PAGE; pread(fd, page, PAGE, offset) == PAGE; offset += PAGE) {
        uint16_t flags, size = 8;
        memcpy(&flags, page + pad + 2, 2);
        if (flags != P_LEAF)
            continue;
        flags |= P_LEAF2;
        memcpy(page + pad, &size, 2);
        memcpy(page + pad + 2, &flags, 2);
        CHECK(pwrite(fd, page, PAGE, offset) == PAGE);
        damaged++;
    }
    close(fd);
    CHECK(damaged == 1);
    env = opened(new_env(), "db");
    EXPECT(MDB_CORRUPTED, compact(env, "copy"));
    mdb_env_close(env);
}

#if MDB_VERSION_MAJOR
/* --- decrypted pages ---------------------------------------------------------------------------------------------- */

static int tags_are_verified = 1;
static unsigned decrypted; /* pages */

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001B3ull;
    return h;
}

/* No cipher, but of one's shape: what it writes depends on page and transaction, and its tag on the contents too. */
static int encrypt(const MDB_val *src, MDB_val *dst, const MDB_val *key, int encdec)
{
    const unsigned char *in = src->mv_data;
    unsigned char *out = dst->mv_data;
    uint64_t mask = hash(1, key[1].mv_data, key[1].mv_size), tag = mask;
    for (size_t i = 0; i < src->mv_size; i++) {
        unsigned char plain = encdec ? in[i] : in[i] ^ (unsigned char)(mask >> i % 8 * 8);
        tag = hash(tag, &plain, 1);
    }
    decrypted += !encdec;
    if (encdec)
        memcpy(key[2].mv_data, &tag, key[2].mv_size);
    else if (tags_are_verified && memcmp(key[2].mv_data, &tag, key[2].mv_size))
        return 1;
    for (size_t i = 0; i < src->mv_size; i++)
        out[i] = in[i] ^ (unsigned char)(mask >> i % 8 * 8);
    return 0;
}

static void sum(const MDB_val *src, MDB_val *dst, const MDB_val *key)
{
    uint64_t h = hash(2, src->mv_data, src->mv_size);
    memcpy(dst->mv_data, &h, 8);
}

static MDB_env *new_encrypted(unsigned tag_size)
{
    MDB_env *env = new_env();
    OK(mdb_env_set_encrypt(env, encrypt, &(MDB_val){3, "key"}, tag_size));
    return env;
}

static void compact_encrypted(void)
{
    MDB_env *env = opened(new_encrypted(8), "db"), *copy;
    fill_dupfixed(env);
    OK(compact(env, "copy"));
    copy = opened(new_encrypted(8), "copy");
    same_dupfixed(env, copy);
    mdb_env_close(copy);
    mdb_env_close(env);
}

/* Readers without a gap between them keep the pages' neighbourhood in use; each must see what was written last. */
static void overlapping(MDB_env *env)
{
    static char value[20000];
    MDB_txn *txn, *previous = NULL;
    MDB_dbi dbi;
    opened(env, "db");
    for (int i = 0; i < 200; i++) {
        MDB_val key = {1, "k"}, found;
        size_t size = i % 3 ? 20 + i : 3000 + (size_t)i * 7919 % 17000;
        txn = begin(env, 0, &dbi);
        OK(put(txn, dbi, "k", memset(value, i, size), size));
        OK(mdb_txn_commit(txn));
        txn = begin(env, MDB_RDONLY, &dbi);
        OK(mdb_get(txn, dbi, &key, &found));
        CHECK(found.mv_size == size && !memcmp(found.mv_data, value, size));
        mdb_txn_abort(previous);
        previous = txn;
    }
    mdb_txn_abort(previous);
    mdb_env_close(env);
}

static void overlapping_readers(void) { overlapping(new_encrypted(8)); }
static void overlapping_readers_without_tags(void) { overlapping(new_encrypted(0)); }

/* A transaction that writes its pages early, changes them and writes them again, all under one id. */
static void spilled(MDB_env *env)
{
    char key[16], value[1500];
    MDB_dbi dbi;
    MDB_txn *txn;
    opened(env, "db");
    for (int aborted = 1; aborted >= 0; aborted--) { /* the id of an aborted transaction is given to the next */
        txn = begin(env, 0, &dbi);
        for (int round = 0; round < 3; round++)
            for (int i = 0; i < 4000; i++) {
                sprintf(key, "%04d", i);
                OK(put(txn, dbi, key, memset(value, i + round + 7 * aborted, sizeof value), sizeof value));
            }
        if (aborted) {
            struct stat file; /* many times its list of dirty pages, of 2^10 in this build */
            OK(stat(file_in_folder("db"), &file));
            CHECK(file.st_size > 4000000);
            mdb_txn_abort(txn);
        }
    }
    for (int committed = 0; committed < 2; committed++) {
        for (int i = 0; i < 4000; i++) {
            MDB_val found;
            sprintf(key, "%04d", i);
            OK(mdb_get(txn, dbi, &(MDB_val){4, key}, &found));
            memset(value, i + 2, sizeof value);
            CHECK(found.mv_size == sizeof value && !memcmp(found.mv_data, value, sizeof value));
        }
        if (!committed) {
            OK(mdb_txn_commit(txn));
            txn = begin(env, MDB_RDONLY, &dbi);
        }
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

static void spilled_twice(void) { spilled(new_encrypted(8)); }
static void spilled_twice_without_tags(void) { spilled(new_encrypted(0)); }

/* A page that is decrypted once more is summed once more, for who encrypts without verifying tags. */
static void written_again_is_summed_again(void)
{
    MDB_env *env = new_encrypted(8);
    MDB_txn *first, *second;
    MDB_dbi dbi;
    unsigned char page[PAGE];
    int fd;
    tags_are_verified = 0;
    OK(mdb_env_set_checksum(env, sum, 8));
    opened(env, "db");
    put_one(env, "key", "value");
    first = begin(env, MDB_RDONLY, &dbi);
    CHECK(holds(first, dbi, "key", "value"));
    fd = open(file_in_folder("db"), O_RDWR);
    for (off_t offset = 2 * PAGE; pread(fd, page, PAGE, offset) == PAGE; offset += PAGE) {
        page[PAGE / 2] ^= 1;
        page[PAGE - 1] ^= 1; /* in the tag */
        CHECK(pwrite(fd, page, PAGE, offset) == PAGE);
    }
    close(fd);
    OK(mdb_txn_begin(env, NULL, MDB_RDONLY, &second));
    MDB_val key = {3, "key"}, found;
    EXPECT(MDB_BAD_CHECKSUM, mdb_get(second, dbi, &key, &found));
    mdb_txn_abort(second);
    mdb_txn_abort(first);
    mdb_env_close(env);
}

static void unchanged_is_decrypted_once(void)
{
    MDB_env *env = opened(new_encrypted(8), "db");
    MDB_txn *first, *second;
    MDB_dbi dbi;
    put_one(env, "key", "value");
    decrypted = 0;
    first = begin(env, MDB_RDONLY, &dbi);
    CHECK(holds(first, dbi, "key", "value"));
    CHECK(decrypted == 1);
    second = begin(env, MDB_RDONLY, &dbi);
    CHECK(holds(first, dbi, "key", "value") && holds(second, dbi, "key", "value"));
    CHECK(decrypted == 1);
    mdb_txn_abort(second);
    mdb_txn_abort(first);
    mdb_env_close(env);
}

/* --- mdb_txn_prepare ---------------------------------------------------------------------------------------------- */

static void prepare_changes(void)
{
    MDB_env *env = opened(new_env(), "db");
    for (int commit = 0; commit < 2; commit++) {
        MDB_dbi dbi;
        MDB_txn *txn = begin(env, 0, &dbi);
        OK(put(txn, dbi, "key", "new", 3));
        OK(mdb_txn_prepare(txn));
        EXPECT(MDB_TXN_PENDING, mdb_txn_prepare(txn));
        EXPECT(MDB_BAD_TXN, put(txn, dbi, "key", "newer", 5));
        CHECK(!has(env, "key", "new"));
        if (commit)
            OK(mdb_txn_commit(txn));
        else
            mdb_txn_abort(txn);
        CHECK(has(env, "key", "new") == commit);
    }
    mdb_env_close(env);
}

/* It is prepared like any other; what follows it in the environment is as sound as after any other. */
static void prepare_nothing(void)
{
    MDB_env *env = opened(new_env(), "db");
    MDB_envinfo info;
    MDB_dbi dbi;
    for (int i = 0; i < 20; i++) {
        char value[16];
        MDB_txn *txn = begin(env, 0, &dbi);
        size_t id = mdb_txn_id(txn);
        OK(mdb_txn_prepare(txn));
        EXPECT(MDB_TXN_PENDING, mdb_txn_prepare(txn));
        EXPECT(MDB_BAD_TXN, put(txn, dbi, "key", "value", 5));
        if (i % 2)
            OK(mdb_txn_commit(txn));
        else
            mdb_txn_abort(txn);
        OK(mdb_env_info(env, &info));
        CHECK((info.me_last_txnid == id) == i % 2);
        if (i % 4 == 3) {
            OK(mdb_env_rollback(env, id)); /* the other side of a commit in two phases has failed */
            sprintf(value, "%d", i - 1);
            CHECK(has(env, "key", value));
        }
        sprintf(value, "%d", i);
        put_one(env, "key", value);
        CHECK(has(env, "key", value));
    }
    mdb_env_close(env);
}

static void prepare_refused(void)
{
    MDB_env *env = opened(new_env(), "db");
    MDB_txn *txn, *child;
    MDB_dbi dbi;
    put_one(env, "key", "value");
    EXPECT(EINVAL, mdb_txn_prepare(NULL));
    txn = begin(env, MDB_RDONLY, &dbi);
    EXPECT(EINVAL, mdb_txn_prepare(txn));
    CHECK(holds(txn, dbi, "key", "value"));
    OK(mdb_txn_commit(txn));
    txn = begin(env, 0, &dbi);
    for (unsigned flags = 0; flags <= MDB_RDONLY; flags += MDB_RDONLY) {
        OK(mdb_txn_begin(env, txn, flags, &child));
        EXPECT(EINVAL, mdb_txn_prepare(child));
        CHECK(holds(child, dbi, "key", flags ? "child" : "value"));
        if (!flags)
            OK(put(child, dbi, "key", "child", 5));
        OK(mdb_txn_commit(child));
    }
    OK(mdb_txn_prepare(txn));
    OK(mdb_txn_commit(txn));
    CHECK(has(env, "key", "child"));
    mdb_env_close(env);
}

/* --- incremental dumps -------------------------------------------------------------------------------------------- */

static int load(const char *dump, int flags)
{
    MDB_env *env = opened(new_env(), "loaded");
    int fd = open(file_in_folder(dump), flags);
    int rc = mdb_env_incr_loadfd(env, fd);
    close(fd);
    mdb_env_close(env);
    return rc;
}

static void load_cut_short(void)
{
    static char large[20000];
    MDB_env *env = opened(new_env(), "db");
    MDB_txn *txn;
    MDB_dbi dbi;
    struct stat file;
    put_one(env, "key", "value");
    txn = begin(env, 0, &dbi);
    OK(put(txn, dbi, "large", large, sizeof large));
    OK(mdb_txn_commit(txn));
    int fd = open(file_in_folder("dump"), O_WRONLY | O_CREAT, 0600);
    OK(mdb_env_incr_dumpfd(env, fd, 0));
    close(fd);
    mdb_env_close(env);
    OK(load("dump", O_RDONLY));
    env = opened(new_env(), "loaded");
    CHECK(has(env, "key", "value"));
    mdb_env_close(env);
    EXPECT(EBADF, load("dump", O_WRONLY));
    OK(stat(file_in_folder("dump"), &file));
    static const long CUTS[] = {1, 100, PAGE - 24, PAGE - 10, PAGE - 1}; /* off the end: in a page, in its header */
    for (size_t i = 0; i < sizeof CUTS / sizeof *CUTS; i++) {
        OK(truncate(file_in_folder("dump"), file.st_size - CUTS[i]));
        EXPECT(MDB_INVALID, load("dump", O_RDONLY));
    }
}
#endif

#define TEST(name) {#name, name}

static const struct {
    const char *name;
    void (*run)(void);
} TESTS[] = {
    TEST(compact_dupfixed), TEST(compact_dupfixed_main), TEST(compact_damaged),
    TEST(order_of_keys), TEST(writemap_emptied), TEST(raced_readers),
#if MDB_VERSION_MAJOR
    TEST(compact_encrypted), TEST(overlapping_readers), TEST(overlapping_readers_without_tags),
    TEST(spilled_twice), TEST(spilled_twice_without_tags), TEST(written_again_is_summed_again),
    TEST(unchanged_is_decrypted_once),
    TEST(prepare_changes), TEST(prepare_nothing), TEST(prepare_refused), TEST(load_cut_short),
#endif
};

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    folder = argv[2];
    alarm(60); /* some of the faults were loops without end */
    for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++)
        if (!strcmp(argv[1], TESTS[i].name)) {
            TESTS[i].run();
            return 0;
        }
    fprintf(stderr, "no test %s\n", argv[1]);
    return 2;
}
