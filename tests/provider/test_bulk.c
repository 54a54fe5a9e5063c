/* The tests of lmdb_bulk.h against one engine: test_bulk FOLDER [NAME ...] runs all of them, or those named.
 * test_bulk FOLDER --exchange stores the pairs of a marshalled list and writes pickles, for Python's own to compare.
 *
 * What a bulk call gives is compared with a model: the records read one by one with LMDB's own cursor, and filtered
 * here. Buffers have exactly the size that is told, so that a sanitizer sees the first byte beyond.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lmdb_bulk.h"

static const char *test_name, *folder;
static char where[160]; /* what a loop was at */

#define FAIL(...)                                                                \
    do {                                                                         \
        fprintf(stderr, "%s:%d: %s: %s: ", __FILE__, __LINE__, test_name, where); \
        fprintf(stderr, __VA_ARGS__);                                            \
        fputc('\n', stderr);                                                     \
        exit(1);                                                                 \
    } while (0)
#define CHECK(condition)             \
    do {                             \
        if (!(condition))            \
            FAIL("%s", #condition);  \
    } while (0)
#define SAME(left, right)                                                                        \
    do {                                                                                         \
        long long left_ = (long long)(left), right_ = (long long)(right);                        \
        if (left_ != right_)                                                                     \
            FAIL("%s is %lld, and %s is %lld", #left, left_, #right, right_);                    \
    } while (0)
#define OK(call) SAME(call, 0)

static const lmdb_bulk_engine engine = LMDB_BULK_ENGINE;
static const MDB_val NONE = {0, NULL};

/* --- strings as they come, for comparison ------------------------------------------------------------------------ */

typedef struct text {
    char *data;
    size_t size, capacity;
} text;

static void text_bytes(text *t, const void *data, size_t size)
{
    if (t->size + size > t->capacity) {
        t->capacity = 2 * (t->size + size);
        t->data = realloc(t->data, t->capacity);
    }
    if (size)
        memcpy(t->data + t->size, data, size);
    t->size += size;
}

/* A string with its size before it; without data, a missing one. */
static void text_add(text *t, MDB_val string)
{
    int64_t size = string.mv_data ? (int64_t)string.mv_size : -1;
    text_bytes(t, &size, sizeof size);
    text_bytes(t, string.mv_data, string.mv_data ? string.mv_size : 0);
}

static void text_same(const text *got, const text *wanted)
{
    size_t i = 0;
    while (i < got->size && i < wanted->size && got->data[i] == wanted->data[i])
        i++;
    if (got->size != wanted->size || i != got->size)
        FAIL("%zu bytes instead of %zu; they differ from byte %zu on", got->size, wanted->size, i);
}

static void text_free(text *t)
{
    free(t->data);
    memset(t, 0, sizeof *t);
}

static MDB_val string(const char *s)
{
    MDB_val v = {strlen(s), (void *)s};
    return v;
}

/* --- databases --------------------------------------------------------------------------------------------------- */

typedef struct record {
    MDB_val key, value;
} record;

typedef struct database {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned int flags;
    record *records; /* as they are in the database, copied */
    size_t count;
} database;

static uint64_t seed;

static unsigned int chance(unsigned int below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned int)(seed >> 33) % below;
}

static MDB_val copied(MDB_val v)
{
    MDB_val copy = {v.mv_size, malloc(v.mv_size + 1)};
    memcpy(copy.mv_data, v.mv_data, v.mv_size);
    return copy;
}

static void forget_records(database *db)
{
    while (db->count) {
        db->count--;
        free(db->records[db->count].key.mv_data);
        free(db->records[db->count].value.mv_data);
    }
    free(db->records);
    db->records = NULL;
}

static void read_records(database *db)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    forget_records(db);
    OK(mdb_cursor_open(db->txn, db->dbi, &cursor));
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        db->records = realloc(db->records, (db->count + 1) * sizeof *db->records);
        db->records[db->count].key = copied(key);
        db->records[db->count++].value = copied(value);
    }
    mdb_cursor_close(cursor);
}

static void open_env(database *db, size_t map_size)
{
    static int number;
    char path[4096];
    memset(db, 0, sizeof *db);
    snprintf(path, sizeof path, "%s/%s-%d", folder, test_name, number++);
    OK(mkdir(path, 0700));
    OK(mdb_env_create(&db->env));
    OK(mdb_env_set_mapsize(db->env, map_size));
    OK(mdb_env_set_maxdbs(db->env, 4));
    OK(mdb_env_open(db->env, path, MDB_NOSYNC, 0600));
    OK(mdb_txn_begin(db->env, NULL, 0, &db->txn));
}

/* End the write transaction, and go on in one that only reads. */
static void read_only(database *db)
{
    OK(mdb_txn_commit(db->txn));
    OK(mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->txn));
}

static void close_env(database *db)
{
    mdb_txn_abort(db->txn);
    mdb_env_close(db->env);
    forget_records(db);
}

static MDB_val number(unsigned int n, char *space, int wide)
{
    uint64_t large = n;
    MDB_val v = {wide ? 8 : 4, space};
    memcpy(space, wide ? (void *)&large : (void *)&n, v.mv_size);
    return v;
}

/* A key: of any size and any bytes, or an integer. Only even numbers are stored: the odd ones are between them. */
static MDB_val some_key(unsigned int flags, unsigned int n, char *space)
{
    MDB_val v = {0, space};
    if (flags & MDB_INTEGERKEY)
        return number(n, space, 1);
    v.mv_size = (size_t)sprintf(space, "%05u", n * 7919u % 100000u);
    memset(space + v.mv_size, n % 3 ? 'k' : 255, n % 40);
    v.mv_size += n % 40;
    return v;
}

static MDB_val some_value(unsigned int flags, unsigned int n, char *space)
{
    static const size_t sizes[] = {0, 1, 100, 255, 256, 257, 3, 2100, 17, 9000};
    MDB_val v = {sizes[n % 10], space};
    if (flags & MDB_INTEGERDUP)
        return number(n, space, 0);
    if (flags & MDB_DUPFIXED)
        v.mv_size = 6;
    else if (flags & MDB_DUPSORT)
        v.mv_size = 1 + n % 299;
    memset(space, (int)n, v.mv_size);
    if (v.mv_size >= 6) {
        char digits[8];
        sprintf(digits, "%06u", n * 31u % 999983u);
        memcpy(space, digits, 6);
    }
    return v;
}

/* A database with `keys` keys, in a write transaction: every fifth has values, some of them many, if it is dupsort. */
static void open_database(database *db, unsigned int flags, unsigned int keys)
{
    char key_space[256], value_space[10000];
    unsigned int n, i;
    snprintf(where, sizeof where, "making database %#x", flags);
    open_env(db, (size_t)1 << 26);
    db->flags = flags;
    OK(mdb_dbi_open(db->txn, "db", MDB_CREATE | flags, &db->dbi));
    for (n = 0; n < keys; n++) {
        unsigned int values = !(flags & MDB_DUPSORT) || n % 5 ? 1 : n % 20 == 15 ? 400 : 4;
        for (i = 0; i < values; i++) {
            MDB_val key = some_key(flags, 2 * n + 2, key_space), value = some_value(flags, n + i * 13, value_space);
            OK(mdb_put(db->txn, db->dbi, &key, &value, 0));
        }
    }
    read_records(db);
}

static const unsigned int KINDS[] = {
    0, MDB_REVERSEKEY, MDB_INTEGERKEY, MDB_DUPSORT, MDB_DUPSORT | MDB_DUPFIXED, MDB_DUPSORT | MDB_REVERSEKEY,
    MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_INTEGERKEY,
};
#define KIND_COUNT (sizeof KINDS / sizeof *KINDS)

/* Bounds: none, empty, the first, the last and others that are there, below, between and above them. */
#define BOUND_COUNT 10
static MDB_val some_bound(const database *db, unsigned int i, char *space)
{
    switch (i) {
    case 0: return NONE;
    case 1: return string("");
    case 2: return db->records[0].key;
    case 3: return db->records[db->count - 1].key;
    case 4: return db->records[db->count / 2].key;
    case 5: return db->records[db->count / 3].key;
    case 6: return db->flags & MDB_INTEGERKEY ? number(0, space, 1) : string("\1");
    case 7: return db->flags & MDB_INTEGERKEY ? number(1000000, space, 1) : string("\377\377\377\377\377\377\377\377");
    default: return some_key(db->flags, i == 8 ? 21 : 33, space);
    }
}

static int same_key(const database *db, size_t i, size_t j)
{
    return mdb_cmp(db->txn, db->dbi, &db->records[i].key, &db->records[j].key) == 0;
}

static int in_range(const database *db, size_t i, MDB_val lower, MDB_val upper, unsigned int flags)
{
    if (lower.mv_data && lower.mv_size) {
        int order = mdb_cmp(db->txn, db->dbi, &db->records[i].key, &lower);
        if (order < 0 || (order == 0 && flags & LMDB_BULK_LOWER_EXCLUDED))
            return 0;
    }
    if (upper.mv_data) {
        int order = upper.mv_size ? mdb_cmp(db->txn, db->dbi, &db->records[i].key, &upper) : 1;
        if (order > 0 || (order == 0 && !(flags & LMDB_BULK_UPPER_INCLUDED)))
            return 0;
    }
    return 1;
}

/* --- outputs ----------------------------------------------------------------------------------------------------- */

static uint32_t number32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Read a pickle of a flat list; the number of its strings. */
static size_t read_pickle(const char *stream, size_t size, text *t)
{
    const unsigned char *at = (const unsigned char *)stream, *end = at + size - 2;
    size_t count;
    CHECK(size >= 6);
    CHECK(memcmp(at, "\x80\x03](", 4) == 0 && memcmp(end, "e.", 2) == 0);
    at += 4;
    for (count = 0; at < end; count++) {
        MDB_val v = {0, NULL};
        if (*at == 'C') {
            v.mv_size = at[1];
            v.mv_data = (void *)(at += 2);
        } else if (*at == 'B') {
            v.mv_size = number32(at + 1);
            CHECK(v.mv_size > 255);
            v.mv_data = (void *)(at += 5);
        } else {
            SAME(*at, 'N');
            at++;
        }
        at += v.mv_size;
        text_add(t, v);
    }
    CHECK(at == end);
    return count;
}

/* Read rows of fields; the number of their strings. */
static size_t read_rows(const lmdb_bulk_output *output, text *t)
{
    const lmdb_bulk_column *columns[] = {&output->keys, &output->values};
    size_t longest[2] = {0, 0}, count = 0;
    const char *at = output->stream, *end = at + output->stream_size;
    while (at < end)
        for (unsigned int c = 0; c < 2; c++)
            if (output->what & (1u << c)) {
                MDB_val v = {(unsigned char)*at, (void *)(at + 1)};
                CHECK(v.mv_size < columns[c]->capacity);
                if (v.mv_size > longest[c])
                    longest[c] = v.mv_size;
                text_add(t, v);
                at += columns[c]->capacity;
                count++;
            }
    CHECK(at == end);
    SAME(output->longest_key, longest[0]);
    SAME(output->longest_value, longest[1]);
    return count;
}

/* Read where strings are. */
static void read_places(const lmdb_bulk_output *output, text *t)
{
    size_t i, size = 0;
    for (i = 0; i < output->count; i++) {
        if (output->what & LMDB_BULK_KEYS) {
            text_add(t, ((MDB_val *)output->keys.data)[i]);
            size += ((MDB_val *)output->keys.data)[i].mv_size;
        }
        if (output->what & LMDB_BULK_VALUES) {
            text_add(t, ((MDB_val *)output->values.data)[i]);
            size += ((MDB_val *)output->values.data)[i].mv_size;
        }
    }
    SAME(output->stream_size, size);
    CHECK(size <= output->capacity || output->count == 1);
}

static size_t FIELDS[2] = {LMDB_BULK_FIELD, LMDB_BULK_FIELD}; /* of the rows in the outputs that follow */

/* Buffers of exactly this capacity and limit. */
static lmdb_bulk_output new_output(unsigned int format, unsigned int what, size_t capacity, size_t limit)
{
    lmdb_bulk_output output;
    memset(&output, 0, sizeof output);
    output.format = format;
    output.what = what;
    output.limit = limit;
    if (format == LMDB_BULK_PICKLE || format == LMDB_BULK_ROWS) {
        output.stream = malloc(capacity);
        output.capacity = capacity;
        output.keys.capacity = FIELDS[0];
        output.values.capacity = FIELDS[1];
        return output;
    }
    if (format == LMDB_BULK_PLACES) {
        output.capacity = capacity;
        if (what & LMDB_BULK_KEYS)
            output.keys.data = malloc(limit * sizeof(MDB_val));
        if (what & LMDB_BULK_VALUES)
            output.values.data = malloc(limit * sizeof(MDB_val));
        return output;
    }
    output.keys.capacity = output.values.capacity = capacity;
    if (what & LMDB_BULK_KEYS) {
        output.keys.data = malloc(capacity);
        output.keys.offsets = malloc((limit + 1) * sizeof(int64_t));
    }
    if (what & LMDB_BULK_VALUES) {
        output.values.data = malloc(capacity);
        output.values.offsets = malloc((limit + 1) * sizeof(int64_t));
    }
    output.found = malloc(limit + 1);
    memset(output.found, 7, limit + 1);
    return output;
}

/* Add what is in an output to a text, and free it. */
static void take_output(lmdb_bulk_output *output, text *t)
{
    size_t i, strings = (output->what & 1) + (output->what >> 1);
    CHECK(output->count <= output->limit);
    if (output->format == LMDB_BULK_PICKLE) {
        if (output->capacity >= LMDB_BULK_PICKLE_EMPTY)
            SAME(read_pickle(output->stream, output->stream_size, t), output->count * strings);
        else
            SAME(output->stream_size, 0);
    } else if (output->format == LMDB_BULK_ROWS) {
        SAME(read_rows(output, t), output->count * strings);
    } else if (output->format == LMDB_BULK_PLACES) {
        read_places(output, t);
    } else {
        for (i = 0; i < output->count; i++) {
            lmdb_bulk_column *columns[] = {&output->keys, &output->values};
            unsigned int c;
            for (c = 0; c < 2; c++)
                if (output->what & (1u << c)) {
                    int64_t *offsets = columns[c]->offsets;
                    MDB_val v = {(size_t)(offsets[i + 1] - offsets[i]), columns[c]->data + offsets[i]};
                    SAME(offsets[0], 0);
                    CHECK(offsets[i] <= offsets[i + 1] && (size_t)offsets[i + 1] <= columns[c]->capacity);
                    if (output->found[i] == 0 && (c == 1 || output->what == LMDB_BULK_KEYS)) {
                        if (c == 1)
                            SAME(v.mv_size, 0);
                        v.mv_data = NULL;
                    }
                    text_add(t, v);
                }
        }
    }
    free(output->stream);
    free(output->keys.data);
    free(output->keys.offsets);
    free(output->values.data);
    free(output->values.offsets);
    free(output->found);
}

static void add_record(text *t, const record *r, unsigned int what)
{
    if (what & LMDB_BULK_KEYS)
        text_add(t, r->key);
    if (what & LMDB_BULK_VALUES)
        text_add(t, r->value);
}

/* --- scans ------------------------------------------------------------------------------------------------------- */

static lmdb_bulk_scan new_scan(const database *db, MDB_cursor *cursor, unsigned int flags, unsigned int state)
{
    lmdb_bulk_scan scan;
    memset(&scan, 0, sizeof scan);
    scan.engine = &engine;
    scan.txn = db->txn;
    scan.dbi = db->dbi;
    scan.cursor = cursor;
    scan.flags = flags;
    scan.state = state;
    scan.remaining = SIZE_MAX;
    return scan;
}

/* An output for the next call: of this capacity, or of what the call before said that it needs. Where that was nothing,
 * for a record that no row can hold, it is another format. */
static lmdb_bulk_output next_output(unsigned int format, unsigned int what, size_t capacity, size_t limit,
                                    const size_t *needed)
{
    if (needed == NULL)
        return new_output(format, what, capacity, limit);
    if (*needed == 0)
        return new_output(LMDB_BULK_PICKLE, what, 1 << 20, 1);
    return new_output(format, what, *needed, limit);
}

/* Whether that was more than the call before had, and asked for the second time only where it must be. */
static void check_needed(const lmdb_bulk_output *output, const size_t *before)
{
    SAME(output->count, 0);
    if (output->needed == 0) {
        SAME(output->format, LMDB_BULK_ROWS);
        return;
    }
    CHECK(output->needed > (output->format == LMDB_BULK_COLUMNS ? output->keys.capacity : output->capacity));
    CHECK(before == NULL || *before == LMDB_BULK_PICKLE_EMPTY);
}

/* Scan to the end, every call with this capacity; where that is too small for a record, once with what it needs. */
static void scan_all(lmdb_bulk_scan *scan, unsigned int format, unsigned int what, size_t capacity, size_t limit,
                     text *t)
{
    size_t calls = 0, space, *needed = NULL;
    int rc;
    do {
        lmdb_bulk_output output = next_output(format, what, capacity, limit, needed);
        size_t remaining = scan->remaining;
        rc = lmdb_bulk_scan_next(scan, &output);
        if (rc == LMDB_BULK_TOO_LARGE) {
            SAME(scan->remaining, remaining);
            check_needed(&output, needed);
            space = output.needed;
            needed = &space;
        } else {
            CHECK(rc == 0 || rc == MDB_NOTFOUND);
            CHECK(rc != 0 || (output.count > 0 && scan->remaining > 0));
            SAME(output.needed, 0);
            SAME(scan->remaining, remaining - output.count);
            needed = NULL;
        }
        take_output(&output, t);
        CHECK(++calls < 100000);
    } while (rc != MDB_NOTFOUND);
    SAME(scan->state, LMDB_BULK_END);
}

/* What a scan of a range must give. */
static void model_scan(const database *db, MDB_val lower, MDB_val upper, unsigned int flags, size_t remaining,
                       unsigned int what, text *t)
{
    size_t n;
    for (n = 0; n < db->count && remaining; n++) {
        int reverse = flags & LMDB_BULK_REVERSE;
        size_t i = reverse ? db->count - 1 - n : n;
        if (!in_range(db, i, lower, upper, flags))
            continue;
        if (flags & LMDB_BULK_NODUP && n > 0 && same_key(db, i, reverse ? i + 1 : i - 1))
            continue;
        add_record(t, &db->records[i], what);
        remaining--;
    }
}

static void check_scan(const database *db, MDB_val lower, MDB_val upper, unsigned int flags, size_t remaining,
                       unsigned int format, unsigned int what, size_t capacity, size_t limit)
{
    text got = {0}, wanted = {0};
    MDB_cursor *cursor;
    lmdb_bulk_scan scan;
    OK(mdb_cursor_open(db->txn, db->dbi, &cursor));
    scan = new_scan(db, cursor, flags, LMDB_BULK_START);
    scan.lower = lower;
    scan.upper = upper;
    scan.remaining = remaining;
    snprintf(where, sizeof where, "database %#x, flags %u, format %u, what %u, capacity %zu, limit %zu, remaining %zu",
             db->flags, flags, format, what, capacity, limit, remaining);
    scan_all(&scan, format, what, capacity, limit, &got);
    model_scan(db, lower, upper, flags, remaining, what, &wanted);
    text_same(&got, &wanted);
    text_free(&got);
    text_free(&wanted);
    mdb_cursor_close(cursor);
}

/* Every range of every kind of database, in both directions, in a transaction that writes and in one that reads. */
static void scan_ranges(void)
{
    size_t kind;
    unsigned int i, j, flags, reading;
    char spaces[2][256];
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], 60);
        for (reading = 0; reading < 2; reading++) {
            for (i = 0; i < BOUND_COUNT; i++)
                for (j = 0; j < BOUND_COUNT; j++)
                    for (flags = 0; flags < 16; flags++)
                        check_scan(&db, some_bound(&db, i, spaces[0]), some_bound(&db, j, spaces[1]), flags, SIZE_MAX,
                                   LMDB_BULK_PICKLE, 3, 12000, 1000);
            if (!reading)
                read_only(&db);
        }
        close_env(&db);
    }
}

/* The records do not depend on the capacity of the output, from none to all at once. */
static void scan_capacities(void)
{
    size_t kind, capacity;
    unsigned int what, flags, format;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], 40);
        read_only(&db);
        for (capacity = 0; capacity < 40000; capacity += capacity < 320 ? 1 : capacity / 3)
            for (what = 1; what < 4; what++)
                for (flags = 0; flags < 16; flags = flags ? flags + 7 : 1) /* 0, REVERSE, NODUP, both */
                    for (format = 0; format <= LMDB_BULK_PLACES; format += format >= 2 ? 1 : 2)
                        check_scan(&db, db.records[3].key, NONE, flags == 15 ? 9 : flags, SIZE_MAX, format, what,
                                   capacity, 1000);
        close_env(&db);
    }
}

/* Nor on the size of fields: what fits into none is given in another format. */
static void scan_fields(void)
{
    static const size_t SIZES[] = {1, 2, 7, 18, 101, 255, 256};
    size_t kind, i, j;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], 40);
        for (i = 0; i < sizeof SIZES / sizeof *SIZES; i++)
            for (j = 0; j < sizeof SIZES / sizeof *SIZES; j++) {
                FIELDS[0] = SIZES[i];
                FIELDS[1] = SIZES[j];
                check_scan(&db, NONE, NONE, 0, SIZE_MAX, LMDB_BULK_ROWS, 1 + (i + j) % 3, 700, 9);
            }
        close_env(&db);
    }
    FIELDS[0] = FIELDS[1] = LMDB_BULK_FIELD;
}

/* Nor on how many records a call may give; and a scan ends where `remaining` does. */
static void scan_limits(void)
{
    size_t kind, limit, remaining;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], 30);
        for (limit = 1; limit < db.count + 3; limit += limit < 60 ? 1 : 50)
            for (remaining = 0; remaining < db.count + 3; remaining += remaining < 12 ? 1 : 40) {
                check_scan(&db, NONE, NONE, 0, remaining, LMDB_BULK_PICKLE, 3, 1 << 16, limit);
                check_scan(&db, NONE, NONE, LMDB_BULK_REVERSE, remaining, LMDB_BULK_COLUMNS, 3, 1 << 16, limit);
                check_scan(&db, NONE, NONE, LMDB_BULK_NODUP, remaining, LMDB_BULK_ROWS, 3, 1 << 16, limit);
            }
        close_env(&db);
    }
}

static void scan_empty_database(void)
{
    unsigned int flags, format;
    database db;
    open_env(&db, 1 << 20);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    for (flags = 0; flags < 16; flags++)
        for (format = 0; format < 3; format += 2) {
            check_scan(&db, NONE, NONE, flags, SIZE_MAX, format, 3, 6, 10);
            check_scan(&db, string("a"), string("b"), flags, SIZE_MAX, format, 3, 6, 10);
        }
    close_env(&db);
}

/* From each record on, in each direction, with the record at the cursor and without it. */
static void scan_from_cursor(void)
{
    static const unsigned int FLAGS[] = {0, 1, 8, 9, 16, 17};
    size_t kind, i, j, f;
    unsigned int state;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        MDB_cursor *cursor;
        open_database(&db, KINDS[kind], 31);
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        for (i = 0; i < db.count; i += i % 9 ? 1 : 7)
            for (f = 0; f < 6; f++)
                for (state = LMDB_BULK_CURRENT; state <= LMDB_BULK_AFTER; state++) {
                    unsigned int flags = FLAGS[f];
                    int reverse = flags & LMDB_BULK_REVERSE;
                    text got = {0}, wanted = {0};
                    lmdb_bulk_scan scan = new_scan(&db, cursor, flags, state);
                    MDB_val key = db.records[i].key, value = db.records[i].value;
                    snprintf(where, sizeof where, "database %#x, record %zu, flags %u, state %u", db.flags, i, flags,
                             state);
                    OK(mdb_cursor_get(cursor, &key, &value, db.flags & MDB_DUPSORT ? MDB_GET_BOTH : MDB_SET));
                    scan_all(&scan, LMDB_BULK_PICKLE, 3, 700, 9, &got);
                    if (state == LMDB_BULK_CURRENT)
                        add_record(&wanted, &db.records[i], 3);
                    for (j = 1; reverse ? j <= i : i + j < db.count; j++) {
                        size_t at = reverse ? i - j : i + j;
                        if (flags & LMDB_BULK_DUP && !same_key(&db, i, at))
                            break;
                        if (flags & LMDB_BULK_NODUP && same_key(&db, at, reverse ? at + 1 : at - 1))
                            continue;
                        add_record(&wanted, &db.records[at], 3);
                    }
                    text_same(&got, &wanted);
                    text_free(&got);
                    text_free(&wanted);
                }
        mdb_cursor_close(cursor);
        close_env(&db);
    }
}

/* A cursor that is nowhere, or behind a deleted last record, has no current record. */
static void scan_from_nowhere(void)
{
    database db;
    MDB_cursor *cursor;
    MDB_val key, value;
    text got = {0};
    lmdb_bulk_scan scan;
    open_database(&db, 0, 9);
    OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
    scan = new_scan(&db, cursor, 0, LMDB_BULK_CURRENT);
    scan_all(&scan, LMDB_BULK_PICKLE, 3, 100, 9, &got);
    SAME(got.size, 0);
    OK(mdb_cursor_get(cursor, &key, &value, MDB_LAST));
    OK(mdb_cursor_del(cursor, 0));
    scan = new_scan(&db, cursor, 0, LMDB_BULK_CURRENT);
    scan_all(&scan, LMDB_BULK_PICKLE, 3, 100, 9, &got);
    SAME(got.size, 0);
    mdb_cursor_close(cursor);
    close_env(&db);
}

/* After a deletion the cursor is at the record that followed, and a scan begins with that. */
static void scan_behind_a_deletion(void)
{
    size_t kind, i;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        MDB_cursor *cursor;
        MDB_val key, value;
        open_database(&db, KINDS[kind], 31);
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        for (i = 0; i < 12; i++) {
            text got = {0}, wanted = {0};
            lmdb_bulk_scan scan = new_scan(&db, cursor, 0, LMDB_BULK_CURRENT);
            size_t at = chance((unsigned int)db.count - 1), n;
            snprintf(where, sizeof where, "database %#x, record %zu", db.flags, at);
            OK(mdb_cursor_get(cursor, &key, &value, MDB_FIRST));
            OK(lmdb_bulk_step(&engine, cursor, MDB_NEXT, at, &n));
            OK(mdb_cursor_del(cursor, 0));
            scan_all(&scan, LMDB_BULK_PICKLE, 3, 700, 9, &got);
            for (n = at + 1; n < db.count; n++)
                add_record(&wanted, &db.records[n], 3);
            text_same(&got, &wanted);
            text_free(&got);
            text_free(&wanted);
            read_records(&db);
        }
        mdb_cursor_close(cursor);
        close_env(&db);
    }
}

/* Where a call returned 0, as many steps back as records were given lead to the first of them. */
static void scan_and_step_back(void)
{
    size_t kind, capacity, done;
    unsigned int flags;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        MDB_cursor *cursor;
        open_database(&db, KINDS[kind], 31);
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        for (flags = 0; flags < 2; flags++)
            for (capacity = 12000; capacity < 16000; capacity += 97) {
                lmdb_bulk_scan scan = new_scan(&db, cursor, flags, LMDB_BULK_CURRENT);
                MDB_val key, value;
                size_t i = 0;
                int rc = 0;
                snprintf(where, sizeof where, "database %#x, flags %u, capacity %zu", db.flags, flags, capacity);
                OK(mdb_cursor_get(cursor, &key, &value, flags ? MDB_LAST : MDB_FIRST));
                while (rc == 0) {
                    lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, capacity, 20);
                    text ignored = {0};
                    rc = lmdb_bulk_scan_next(&scan, &output);
                    CHECK(rc == 0 || rc == MDB_NOTFOUND);
                    if (rc == 0) {
                        const record *first = &db.records[flags ? db.count - 1 - i : i];
                        size_t back = output.count - (scan.state == LMDB_BULK_AFTER);
                        OK(lmdb_bulk_step(&engine, cursor, flags ? MDB_NEXT : MDB_PREV, back, &done));
                        SAME(done, back);
                        OK(mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT));
                        OK(mdb_cmp(db.txn, db.dbi, &key, &first->key));
                        SAME(value.mv_size, first->value.mv_size);
                        OK(memcmp(value.mv_data, first->value.mv_data, value.mv_size));
                        OK(lmdb_bulk_step(&engine, cursor, flags ? MDB_PREV : MDB_NEXT, back, &done));
                        i += output.count;
                    }
                    take_output(&output, &ignored);
                    text_free(&ignored);
                }
            }
        mdb_cursor_close(cursor);
        close_env(&db);
    }
}

/* --- an engine that fails ---------------------------------------------------------------------------------------- */

static size_t calls_until_failure;

static int fails_now(void)
{
    return calls_until_failure != 0 && --calls_until_failure == 0;
}

static int failing_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    return fails_now() ? MDB_CORRUPTED : mdb_cursor_get(cursor, key, data, op);
}

static int failing_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned int flags)
{
    return fails_now() ? MDB_CORRUPTED : mdb_cursor_put(cursor, key, data, flags);
}

static int failing_cursor_del(MDB_cursor *cursor, unsigned int flags)
{
    return fails_now() ? MDB_CORRUPTED : mdb_cursor_del(cursor, flags);
}

static int failing_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    return fails_now() ? ENOMEM : mdb_cursor_open(txn, dbi, cursor);
}

static lmdb_bulk_engine failing_engine(void)
{
    lmdb_bulk_engine failing = LMDB_BULK_ENGINE;
    failing.cursor_get = failing_cursor_get;
    failing.cursor_put = failing_cursor_put;
    failing.cursor_del = failing_cursor_del;
    return failing;
}

/* An error at any call of the engine leaves the records before it given, and the scan goes on where it was. */
static void scan_errors(void)
{
    lmdb_bulk_engine failing = failing_engine();
    database db;
    MDB_cursor *cursor;
    size_t k;
    unsigned int flags;
    open_database(&db, MDB_DUPSORT, 30);
    OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
    for (flags = 0; flags < 2; flags++)
        for (k = 1; k <= db.count + 1; k++) {
            text got = {0}, wanted = {0};
            lmdb_bulk_scan scan = new_scan(&db, cursor, flags, LMDB_BULK_START);
            lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 1 << 20, 10000);
            snprintf(where, sizeof where, "flags %u, call %zu", flags, k);
            scan.engine = &failing;
            calls_until_failure = k;
            SAME(lmdb_bulk_scan_next(&scan, &output), MDB_CORRUPTED);
            SAME(output.count, k - 1);
            take_output(&output, &got);
            scan_all(&scan, LMDB_BULK_PICKLE, 3, 1 << 20, 10000, &got);
            model_scan(&db, NONE, NONE, flags, SIZE_MAX, 3, &wanted);
            text_same(&got, &wanted);
            text_free(&got);
            text_free(&wanted);
        }
    mdb_cursor_close(cursor);
    close_env(&db);
}

static void scan_refuses(void)
{
    database db;
    MDB_cursor *cursor;
    lmdb_bulk_scan scan;
    lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 100, 10);
    open_database(&db, 0, 3);
    OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
#define REFUSED(statement)                                           \
    do {                                                             \
        lmdb_bulk_output kept = output;                              \
        scan = new_scan(&db, cursor, 0, LMDB_BULK_START);            \
        statement;                                                   \
        SAME(lmdb_bulk_scan_next(&scan, &output), EINVAL);           \
        SAME(output.count, 0);                                       \
        output = kept;                                               \
    } while (0)
    REFUSED(scan.flags = LMDB_BULK_MISSING);
    REFUSED(scan.flags = 1u << 20);
    REFUSED(scan.flags = LMDB_BULK_DUP | LMDB_BULK_NODUP);
    REFUSED(scan.state = LMDB_BULK_END + 1);
    REFUSED(output.format = LMDB_BULK_MARSHAL);
    REFUSED(output.format = 99);
    REFUSED(output.format = LMDB_BULK_ROWS; output.keys.capacity = 0);
    REFUSED(output.format = LMDB_BULK_ROWS; output.values.capacity = LMDB_BULK_FIELD + 1);
    REFUSED(output.what = 0);
    REFUSED(output.what = 4);
    scan = new_scan(&db, cursor, 0, LMDB_BULK_START);
    output.limit = 0;
    OK(lmdb_bulk_scan_next(&scan, &output));
    SAME(output.count, 0);
    SAME(scan.state, LMDB_BULK_START);
    free(output.stream);
    mdb_cursor_close(cursor);
    close_env(&db);
}

/* A pickle, byte for byte, at the sizes where its form changes. */
static void pickle_bytes(void)
{
    static char bytes[70000];
    static const size_t SIZES[] = {0, 1, 255, 256, 257, 65535, 65536, 70000};
    size_t i;
    database db;
    open_env(&db, 1 << 22);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    memset(bytes, 'v', sizeof bytes);
    for (i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        MDB_val key = string("key"), value = {SIZES[i], bytes};
        size_t head = value.mv_size < 256 ? 2 : 5, size = 4 + 5 + head + value.mv_size + 2;
        lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, size, 1);
        const unsigned char *at = (unsigned char *)output.stream;
        MDB_cursor *cursor;
        lmdb_bulk_scan scan;
        snprintf(where, sizeof where, "%zu bytes", SIZES[i]);
        OK(mdb_put(db.txn, db.dbi, &key, &value, 0));
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        scan = new_scan(&db, cursor, 0, LMDB_BULK_START);
        OK(lmdb_bulk_scan_next(&scan, &output));
        SAME(output.count, 1);
        SAME(output.stream_size, size);
        OK(memcmp(at, "\x80\x03](C\x03key", 9));
        if (head == 2) {
            SAME(at[9], 'C');
            SAME(at[10], value.mv_size);
        } else {
            SAME(at[9], 'B');
            SAME(number32(at + 10), value.mv_size);
        }
        OK(memcmp(at + 9 + head, bytes, value.mv_size));
        OK(memcmp(at + size - 2, "e.", 2));
        free(output.stream);
        mdb_cursor_close(cursor);
    }
    close_env(&db);
}

/* Steps go as far as there are records, and say how far. */
static void step_as_far_as_it_goes(void)
{
    size_t kind, done;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        MDB_cursor *cursor;
        MDB_val key, value;
        open_database(&db, KINDS[kind], 31);
        snprintf(where, sizeof where, "database %#x", db.flags);
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        OK(mdb_cursor_get(cursor, &key, &value, MDB_FIRST));
        OK(lmdb_bulk_step(&engine, cursor, MDB_NEXT, 0, &done));
        SAME(done, 0);
        OK(lmdb_bulk_step(&engine, cursor, MDB_NEXT, 7, &done));
        SAME(done, 7);
        OK(mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT));
        SAME(value.mv_size, db.records[7].value.mv_size);
        OK(memcmp(value.mv_data, db.records[7].value.mv_data, value.mv_size));
        SAME(lmdb_bulk_step(&engine, cursor, MDB_NEXT, SIZE_MAX, &done), MDB_NOTFOUND);
        SAME(done, db.count - 8);
        SAME(lmdb_bulk_step(&engine, cursor, MDB_PREV, SIZE_MAX, &done), MDB_NOTFOUND);
        SAME(done, db.count - 1);
        mdb_cursor_close(cursor);
        close_env(&db);
    }
}

/* --- one record -------------------------------------------------------------------------------------------------- */

static lmdb_bulk new_bulk(const database *db)
{
    lmdb_bulk bulk;
    memset(&bulk, 0, sizeof bulk);
    bulk.engine = &engine;
    bulk.txn = db->txn;
    bulk.dbi = db->dbi;
    return bulk;
}

static void get_and_put_one(void)
{
    database db;
    lmdb_bulk bulk;
    char buffer[4] = "....";
    open_env(&db, 1 << 20);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    bulk = new_bulk(&db);
    OK(lmdb_bulk_put(&bulk, "key", 3, "value", 5));
    OK(lmdb_bulk_put(&bulk, "empty", 5, "", 0));
    SAME(lmdb_bulk_get(&bulk, "key", 3), 5);
    SAME(bulk.value.mv_size, 5);
    OK(memcmp(bulk.value.mv_data, "value", 5));
    bulk.buffer = buffer;
    bulk.capacity = 4;
    SAME(lmdb_bulk_get(&bulk, "key", 3), 5);
    OK(memcmp(buffer, "....", 4));
    OK(lmdb_bulk_put(&bulk, "key", 3, "four", 4));
    SAME(lmdb_bulk_get(&bulk, "key", 3), 4);
    OK(memcmp(buffer, "four", 4));
    SAME(lmdb_bulk_get(&bulk, "empty", 5), 0);
    OK(memcmp(buffer, "four", 4));
    SAME(lmdb_bulk_get(&bulk, "other", 5), MDB_NOTFOUND);
    SAME(lmdb_bulk_get(&bulk, "", 0), MDB_BAD_VALSIZE);
    SAME(lmdb_bulk_put(&bulk, "", 0, "v", 1), MDB_BAD_VALSIZE);
    bulk.put_flags = MDB_NOOVERWRITE;
    SAME(lmdb_bulk_put(&bulk, "key", 3, "else", 4), MDB_KEYEXIST);
    SAME(lmdb_bulk_get(&bulk, "key", 3), 4);
    OK(memcmp(buffer, "four", 4));
    bulk.put_flags = MDB_RESERVE;
    SAME(lmdb_bulk_put(&bulk, "key", 3, "else", 4), EINVAL);
    bulk.dbi = 77;
    SAME(lmdb_bulk_get(&bulk, "key", 3), -EINVAL);
    close_env(&db);
}

/* --- inputs ------------------------------------------------------------------------------------------------------ */

static void marshal_number(text *t, char type, size_t n)
{
    char head[5] = {type, (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24)};
    text_bytes(t, head, 5);
}

static void marshal_add(text *t, MDB_val v)
{
    marshal_number(t, 's', v.mv_size);
    text_bytes(t, v.mv_data, v.mv_size);
}

static void column_append(lmdb_bulk_column *column, size_t count, MDB_val v)
{
    size_t begin;
    column->offsets = realloc(column->offsets, (count + 2) * sizeof(int64_t));
    if (count == 0)
        column->offsets[0] = 0;
    begin = (size_t)column->offsets[count];
    column->data = realloc(column->data, begin + v.mv_size + 1);
    memcpy(column->data + begin, v.mv_data, v.mv_size);
    column->offsets[count + 1] = (int64_t)(begin + v.mv_size);
}

/* The keys of records, or the pairs, as an input of this format. */
static lmdb_bulk_input new_input(unsigned int format, const record *records, size_t count, int pairs)
{
    lmdb_bulk_input input;
    text t = {0};
    size_t i;
    memset(&input, 0, sizeof input);
    input.format = format;
    if (format == LMDB_BULK_MARSHAL) {
        marshal_number(&t, '[', count);
        for (i = 0; i < count; i++) {
            if (pairs)
                marshal_number(&t, '(', 2);
            marshal_add(&t, records[i].key);
            if (pairs)
                marshal_add(&t, records[i].value);
        }
        input.stream = realloc(t.data, t.size);
        input.stream_size = t.size;
        return input;
    }
    input.count = count;
    for (i = 0; i < count; i++) {
        column_append(&input.keys, i, records[i].key);
        if (pairs)
            column_append(&input.values, i, records[i].value);
    }
    return input;
}

static void free_input(lmdb_bulk_input *input)
{
    free((void *)input->stream);
    free(input->keys.data);
    free(input->keys.offsets);
    free(input->values.data);
    free(input->values.offsets);
}

/* --- many keys --------------------------------------------------------------------------------------------------- */

static void get_all(lmdb_bulk *bulk, lmdb_bulk_input *input, unsigned int flags, unsigned int format,
                    unsigned int what, size_t capacity, size_t limit, text *t)
{
    size_t calls = 0, space, *needed = NULL;
    do {
        lmdb_bulk_output output = next_output(format, what, capacity, limit, needed);
        int rc = lmdb_bulk_get_many(bulk, input, flags, &output);
        if (rc == LMDB_BULK_TOO_LARGE) {
            check_needed(&output, needed);
            space = output.needed;
            needed = &space;
        } else {
            OK(rc);
            CHECK(output.count > 0 || input->done == input->count);
            SAME(output.needed, 0);
            needed = NULL;
        }
        take_output(&output, t);
        CHECK(++calls < 100000);
    } while (needed || input->done < input->count);
    SAME(input->value, 0);
}

/* Present and missing keys, in order and out of it, some twice. */
static record *some_keys(const database *db, size_t count)
{
    record *keys = calloc(count, sizeof *keys);
    char space[256];
    size_t i;
    for (i = 0; i < count; i++) {
        unsigned int n = i < count / 2 ? (unsigned int)i * 2 + 1 + (i % 4 != 0) : chance(140);
        keys[i].key = copied(some_key(db->flags, n, space));
        keys[i].value = copied(string(""));
    }
    return keys;
}

static void free_keys(record *keys, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        free(keys[i].key.mv_data);
        free(keys[i].value.mv_data);
    }
    free(keys);
}

/* What get_many must give. */
static void model_get(const database *db, const record *keys, size_t count, unsigned int flags, unsigned int what,
                      text *t)
{
    size_t i, j;
    for (i = 0; i < count; i++) {
        int found = 0;
        for (j = 0; j < db->count; j++)
            if (mdb_cmp(db->txn, db->dbi, &db->records[j].key, &keys[i].key) == 0) {
                if (!found || flags & LMDB_BULK_ALL_VALUES)
                    add_record(t, &db->records[j], what);
                found = 1;
            }
        if (!found && flags & LMDB_BULK_MISSING) {
            if (what & LMDB_BULK_KEYS)
                text_add(t, what == LMDB_BULK_KEYS ? NONE : keys[i].key);
            if (what & LMDB_BULK_VALUES)
                text_add(t, NONE);
        }
    }
}

static void check_get(const database *db, const record *keys, size_t count, unsigned int input_format,
                      unsigned int flags, MDB_cursor *cursor, unsigned int format, unsigned int what, size_t capacity,
                      size_t limit)
{
    text got = {0}, wanted = {0};
    lmdb_bulk bulk = new_bulk(db);
    lmdb_bulk_input input = new_input(input_format, keys, count, 0);
    bulk.cursor = cursor;
    snprintf(where, sizeof where,
             "database %#x, input %u, flags %u, cursor %d, format %u, what %u, capacity %zu, limit %zu", db->flags,
             input_format, flags, cursor != NULL, format, what, capacity, limit);
    get_all(&bulk, &input, flags, format, what, capacity, limit, &got);
    model_get(db, keys, count, flags, what, &wanted);
    text_same(&got, &wanted);
    SAME(input.done, count);
    if (input_format == LMDB_BULK_MARSHAL) {
        SAME(input.count, count);
        SAME(input.position, input.stream_size);
    }
    text_free(&got);
    text_free(&wanted);
    free_input(&input);
}

/* The values do not depend on the capacity of the output, nor on how many records a call may give. */
static void get_many_capacities(void)
{
    static const unsigned int FLAGS[] = {0, LMDB_BULK_MISSING, LMDB_BULK_ALL_VALUES};
    size_t kind, capacity, f;
    unsigned int what;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        record *keys;
        MDB_cursor *cursor;
        open_database(&db, KINDS[kind], 40);
        read_only(&db);
        keys = some_keys(&db, 60);
        OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
        for (capacity = 0; capacity < 40000; capacity += capacity < 280 ? 3 : capacity / 2)
            for (f = 0; f < 3; f++)
                for (what = 1; what < 4; what++) {
                    check_get(&db, keys, 60, LMDB_BULK_MARSHAL, FLAGS[f], NULL, LMDB_BULK_PICKLE, what, capacity, 50);
                    check_get(&db, keys, 60, LMDB_BULK_COLUMNS, FLAGS[f], NULL, LMDB_BULK_ROWS, what, capacity, 50);
                    check_get(&db, keys, 60, LMDB_BULK_COLUMNS, FLAGS[f], NULL, LMDB_BULK_PLACES, what, capacity, 50);
                    check_get(&db, keys, 60, LMDB_BULK_COLUMNS, FLAGS[f], cursor, LMDB_BULK_COLUMNS, what, capacity,
                              capacity % 7 + 1);
                }
        mdb_cursor_close(cursor);
        free_keys(keys, 60);
        close_env(&db);
    }
}

/* No keys; and in a transaction that writes, keys that were just stored. */
static void get_many_small(void)
{
    database db;
    record *keys;
    unsigned int format;
    open_database(&db, MDB_DUPSORT, 20);
    keys = some_keys(&db, 20);
    for (format = 0; format < 2; format++) {
        check_get(&db, keys, 0, format, 0, NULL, LMDB_BULK_PICKLE, 3, 6, 10);
        check_get(&db, keys, 0, format, 0, NULL, LMDB_BULK_COLUMNS, 3, 0, 10);
        check_get(&db, keys, 20, format, LMDB_BULK_ALL_VALUES, NULL, LMDB_BULK_PICKLE, 3, 1000, 10);
    }
    free_keys(keys, 20);
    close_env(&db);
}

/* An error at any call of the engine: the keys before it are done, and the next call goes on with that one. */
static void get_many_errors(void)
{
    lmdb_bulk_engine failing = failing_engine();
    database db;
    record *keys;
    size_t k, failures = 0;
    unsigned int flags;
    open_database(&db, MDB_DUPSORT, 31);
    keys = some_keys(&db, 60);
    for (flags = LMDB_BULK_MISSING; flags <= LMDB_BULK_ALL_VALUES; flags += LMDB_BULK_MISSING)
        for (k = 1; k < 900; k += k < 100 ? 1 : 13) {
            text got = {0}, wanted = {0};
            lmdb_bulk bulk = new_bulk(&db);
            lmdb_bulk_input input = new_input(LMDB_BULK_MARSHAL, keys, 60, 0);
            lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 1 << 20, 10000);
            int rc;
            snprintf(where, sizeof where, "flags %u, call %zu", flags, k);
            bulk.engine = &failing;
            calls_until_failure = k;
            rc = lmdb_bulk_get_many(&bulk, &input, flags, &output);
            failures += rc == MDB_CORRUPTED;
            CHECK(rc == 0 || (rc == MDB_CORRUPTED && input.done < 60));
            if (flags == LMDB_BULK_MISSING && rc != 0) {
                SAME(input.done, k - 1);
                SAME(output.count, k - 1);
            }
            take_output(&output, &got);
            calls_until_failure = 0;
            get_all(&bulk, &input, flags, LMDB_BULK_PICKLE, 3, 1 << 20, 10000, &got);
            model_get(&db, keys, 60, flags, 3, &wanted);
            text_same(&got, &wanted);
            text_free(&got);
            text_free(&wanted);
            free_input(&input);
        }
    CHECK(failures > 100);
    free_keys(keys, 60);
    close_env(&db);
}

static void get_many_refuses(void)
{
    database db;
    lmdb_bulk bulk;
    lmdb_bulk_engine failing = failing_engine();
    lmdb_bulk_input input;
    lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 100, 10);
    record keys[3] = {{string("a"), NONE}, {string(""), NONE}, {string("b"), NONE}};
    unsigned int format;
    open_env(&db, 1 << 20);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    bulk = new_bulk(&db);
    OK(lmdb_bulk_put(&bulk, "a", 1, "1", 1));
    OK(lmdb_bulk_put(&bulk, "b", 1, "2", 1));
    for (format = 0; format < 2; format++) { /* LMDB refuses an empty key: the one before it is done */
        input = new_input(format, keys, 3, 0);
        SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), MDB_BAD_VALSIZE);
        SAME(input.done, 1);
        SAME(output.count, 1);
        SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), MDB_BAD_VALSIZE);
        SAME(input.done, 1);
        SAME(output.count, 0);
        free_input(&input);
    }
    input = new_input(LMDB_BULK_MARSHAL, keys, 1, 0);
    SAME(lmdb_bulk_get_many(&bulk, &input, LMDB_BULK_MISSING | LMDB_BULK_ALL_VALUES, &output), EINVAL);
    SAME(lmdb_bulk_get_many(&bulk, &input, LMDB_BULK_REVERSE, &output), EINVAL);
    output.what = 0;
    SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), EINVAL);
    output.what = 3;
    failing.cursor_open = failing_cursor_open;
    bulk.engine = &failing;
    calls_until_failure = 1;
    SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), ENOMEM);
    SAME(output.count, 0);
    SAME(input.done, 0);
    OK(lmdb_bulk_get_many(&bulk, &input, 0, &output));
    SAME(output.count, 1);
    input.format = LMDB_BULK_PICKLE;
    SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), EINVAL);
    free_input(&input);
    free(output.stream);
    close_env(&db);
}

/* --- many pairs -------------------------------------------------------------------------------------------------- */

static size_t entries(const database *db)
{
    MDB_stat stat;
    OK(mdb_stat(db->txn, db->dbi, &stat));
    return stat.ms_entries;
}

/* What was read from one database is stored in another, and is the same there. */
static void put_many_stores(void)
{
    size_t kind, i;
    unsigned int format, append;
    for (kind = 0; kind < KIND_COUNT; kind++)
        for (format = 0; format < 2; format++)
            for (append = 0; append < 2; append++) {
                database db, copy;
                lmdb_bulk bulk;
                lmdb_bulk_input input;
                text got = {0}, wanted = {0};
                size_t added;
                unsigned int flags = append ? KINDS[kind] & MDB_DUPSORT ? MDB_APPENDDUP : MDB_APPEND : 0;
                open_database(&db, KINDS[kind], 60);
                open_env(&copy, 1 << 26);
                OK(mdb_dbi_open(copy.txn, "db", MDB_CREATE | KINDS[kind], &copy.dbi));
                snprintf(where, sizeof where, "database %#x, input %u, flags %#x", db.flags, format, flags);
                bulk = new_bulk(&copy);
                input = new_input(format, db.records, db.count, 1);
                OK(lmdb_bulk_put_many(&bulk, &input, flags, &added));
                SAME(added, db.count);
                SAME(input.done, db.count);
                SAME(input.count, db.count);
                SAME(entries(&copy), db.count);
                read_records(&copy);
                for (i = 0; i < db.count; i++) {
                    add_record(&wanted, &db.records[i], 3);
                    add_record(&got, &copy.records[i], 3);
                }
                text_same(&got, &wanted);
                OK(lmdb_bulk_put_many(&bulk, &input, 0, &added)); /* it is done */
                SAME(added, 0);
                text_free(&got);
                text_free(&wanted);
                free_input(&input);
                close_env(&db);
                close_env(&copy);
            }
}

/* Which records are spared, and which are errors, with each flag. */
static void put_many_flags(void)
{
    static const struct {
        unsigned int database, flags;
        size_t added, done;
        int rc;
    } CASES[] = {
        /* in the database: b = 1. The input: a = 1, b = 2, b = 1, d = 1, c = 1 */
        {0, 0, 5, 5, 0},
        {0, MDB_NOOVERWRITE, 3, 5, 0},
        {0, MDB_APPEND, 0, 0, MDB_KEYEXIST},
        {0, MDB_APPEND | MDB_NOOVERWRITE, 0, 0, MDB_KEYEXIST},
        {0, MDB_RESERVE, 0, 0, EINVAL},
        {0, MDB_CURRENT, 0, 0, EINVAL},
        {0, MDB_MULTIPLE, 0, 0, EINVAL},
        {MDB_DUPSORT, 0, 5, 5, 0},
        {MDB_DUPSORT, MDB_NOOVERWRITE, 3, 5, 0},
        {MDB_DUPSORT, MDB_NODUPDATA, 4, 5, 0},
        {MDB_DUPSORT, MDB_APPEND, 0, 0, MDB_KEYEXIST},
    };
    size_t i;
    for (i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        record pairs[] = {{string("a"), string("1")}, {string("b"), string("2")}, {string("b"), string("1")},
                          {string("d"), string("1")}, {string("c"), string("1")}};
        database db;
        lmdb_bulk bulk;
        lmdb_bulk_input input = new_input(LMDB_BULK_MARSHAL, pairs, 5, 1);
        size_t added = 99;
        snprintf(where, sizeof where, "case %zu", i);
        open_env(&db, 1 << 20);
        OK(mdb_dbi_open(db.txn, "db", MDB_CREATE | CASES[i].database, &db.dbi));
        bulk = new_bulk(&db);
        OK(lmdb_bulk_put(&bulk, "b", 1, "1", 1));
        SAME(lmdb_bulk_put_many(&bulk, &input, CASES[i].flags, &added), CASES[i].rc);
        SAME(added, CASES[i].added);
        SAME(input.done, CASES[i].done);
        free_input(&input);
        close_env(&db);
    }
}

/* Sorted input that is out of order at one record: that one is an error, though others are spared. */
static void put_many_append(void)
{
    static const struct {
        unsigned int database, flags;
        size_t added, done;
        int rc;
    } CASES[] = {
        /* the input: b = 1, b = 1, c = 2, c = 1, d = 1, a = 1, e = 1 */
        {0, MDB_APPEND, 1, 1, MDB_KEYEXIST},
        {0, MDB_APPEND | MDB_NOOVERWRITE, 3, 5, MDB_KEYEXIST},
        {0, MDB_APPEND | MDB_NODUPDATA, 1, 1, MDB_KEYEXIST},
        {MDB_DUPSORT, MDB_APPEND, 1, 1, MDB_KEYEXIST},
        {MDB_DUPSORT, MDB_APPEND | MDB_NOOVERWRITE, 3, 5, MDB_KEYEXIST},
        {MDB_DUPSORT, MDB_APPEND | MDB_NODUPDATA, 2, 3, MDB_KEYEXIST},
        {MDB_DUPSORT, MDB_APPENDDUP | MDB_NODUPDATA, 2, 3, MDB_KEYEXIST},
    };
    size_t i;
    for (i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        record pairs[] = {{string("b"), string("1")}, {string("b"), string("1")}, {string("c"), string("2")},
                          {string("c"), string("1")}, {string("d"), string("1")}, {string("a"), string("1")},
                          {string("e"), string("1")}};
        database db;
        lmdb_bulk bulk;
        lmdb_bulk_input input = new_input(LMDB_BULK_COLUMNS, pairs, 7, 1);
        size_t added = 99;
        snprintf(where, sizeof where, "case %zu", i);
        open_env(&db, 1 << 20);
        OK(mdb_dbi_open(db.txn, "db", MDB_CREATE | CASES[i].database, &db.dbi));
        bulk = new_bulk(&db);
        SAME(lmdb_bulk_put_many(&bulk, &input, CASES[i].flags, &added), CASES[i].rc);
        SAME(added, CASES[i].added);
        SAME(input.done, CASES[i].done);
        SAME(entries(&db), CASES[i].added);
        free_input(&input);
        close_env(&db);
    }
}

/* An error at record k: those before it are stored, and the caller may step over it and go on. */
static void put_many_errors(void)
{
    static char long_key[3000];
    size_t k;
    unsigned int format;
    memset(long_key, 'k', sizeof long_key);
    for (format = 0; format < 2; format++)
        for (k = 0; k < 40; k++) {
            database source, db;
            lmdb_bulk bulk;
            lmdb_bulk_input input;
            lmdb_bulk_engine failing = failing_engine();
            MDB_val kept, too_long = {sizeof long_key, long_key};
            size_t added;
            snprintf(where, sizeof where, "input %u, record %zu", format, k);
            open_database(&source, 0, 40);
            open_env(&db, 1 << 24);
            OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
            bulk = new_bulk(&db);
            kept = source.records[k].key;
            source.records[k].key = k % 2 ? too_long : string("");
            input = new_input(format, source.records, 40, 1);
            SAME(lmdb_bulk_put_many(&bulk, &input, 0, &added), MDB_BAD_VALSIZE);
            source.records[k].key = kept;
            SAME(added, k);
            SAME(input.done, k);
            SAME(entries(&db), k);
            free_input(&input);
            input = new_input(format, source.records, 40, 1); /* from the start: all but k are overwritten */
            bulk.engine = &failing;
            calls_until_failure = k + 1;
            SAME(lmdb_bulk_put_many(&bulk, &input, 0, &added), MDB_CORRUPTED);
            SAME(added, k);
            SAME(input.done, k);
            OK(lmdb_bulk_put_many(&bulk, &input, 0, &added));
            SAME(added, 40 - k);
            SAME(input.done, 40);
            SAME(entries(&db), 40);
            free_input(&input);
            close_env(&source);
            close_env(&db);
        }
}

/* A full map: the count is exact, and after it LMDB refuses the transaction. */
static void put_many_map_full(void)
{
    database source, db;
    lmdb_bulk bulk;
    lmdb_bulk_input input;
    lmdb_bulk_scan scan;
    lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 100, 10);
    size_t added, again, count;
    MDB_cursor *cursor;
    open_database(&source, 0, 400);
    open_env(&db, 1 << 19);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    OK(mdb_txn_commit(db.txn));
    OK(mdb_txn_begin(db.env, NULL, 0, &db.txn));
    bulk = new_bulk(&db);
    OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
    input = new_input(LMDB_BULK_MARSHAL, source.records, source.count, 1);
    SAME(lmdb_bulk_put_many(&bulk, &input, 0, &added), MDB_MAP_FULL);
    CHECK(added > 100 && added < source.count);
    SAME(input.done, added);
    SAME(lmdb_bulk_put_many(&bulk, &input, 0, &again), MDB_BAD_TXN);
    SAME(again, 0);
    SAME(input.done, added);
    SAME(lmdb_bulk_get(&bulk, "k", 1), MDB_BAD_TXN);
    SAME(lmdb_bulk_count_range(&bulk, NULL, NULL, 0, &count), MDB_BAD_TXN);
    SAME(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, 9, &count), MDB_BAD_TXN);
    scan = new_scan(&db, cursor, 0, LMDB_BULK_START);
    SAME(lmdb_bulk_scan_next(&scan, &output), MDB_BAD_TXN);
    SAME(scan.state, LMDB_BULK_START);
    SAME(lmdb_bulk_step(&engine, cursor, MDB_NEXT, 3, &count), MDB_BAD_TXN);
    SAME(count, 0);
    mdb_cursor_close(cursor);
    free(output.stream);
    free_input(&input);
    close_env(&source);
    close_env(&db);
}

/* A transaction that only reads: nothing is stored or deleted. */
static void writing_needs_a_write_transaction(void)
{
    database db;
    lmdb_bulk bulk;
    lmdb_bulk_input input;
    size_t added, count;
    int refused = MDB_VERSION_MAJOR ? -30770 /* MDB_IS_READONLY */ : EACCES;
    open_database(&db, 0, 9);
    read_only(&db);
    bulk = new_bulk(&db);
    input = new_input(LMDB_BULK_MARSHAL, db.records, 9, 1);
    SAME(lmdb_bulk_put(&bulk, "k", 1, "v", 1), refused);
    SAME(lmdb_bulk_put_many(&bulk, &input, 0, &added), refused);
    SAME(added, 0);
    SAME(input.done, 0);
    SAME(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, 9, &count), refused);
    SAME(count, 0);
    SAME(entries(&db), 9);
    free_input(&input);
    close_env(&db);
}

/* A marshalled input that is cut off or changed in one byte is refused whole, unless the byte is in a string. */
static void marshal_malformed(void)
{
    size_t at, pairs;
    unsigned int byte;
    record records[] = {{string("zz"), string("zzz")}, {string("yy"), string("")}, {string("xx"), string("xx")}};
    char inside[200];
    database db;
    open_env(&db, 1 << 22);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    OK(mdb_txn_commit(db.txn));
    OK(mdb_txn_begin(db.env, NULL, 0, &db.txn));
    for (pairs = 0; pairs < 2; pairs++) {
        lmdb_bulk_input good = new_input(LMDB_BULK_MARSHAL, records, 3, (int)pairs);
        size_t size = good.stream_size, changed, added = 0;
        memset(inside, 0, sizeof inside);
        for (at = 0; at < size; at++) /* no byte of the form is above 'w' */
            inside[at] = good.stream[at] > 'w';
        for (changed = 0; changed <= 2 * size; changed++)
            for (byte = 0; byte < (changed < size ? 256 : 1); byte++) {
                /* below size: a byte is changed; above: the stream is cut off, and in the end it has a byte too many */
                size_t given = changed < size ? size : changed == 2 * size ? size + 1 : changed - size;
                char *stream = malloc(given ? given : 1);
                lmdb_bulk bulk = new_bulk(&db);
                lmdb_bulk_input input = good;
                lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 100, 10);
                int valid, rc;
                memcpy(stream, good.stream, given < size ? given : size);
                if (changed < size)
                    stream[changed] = (char)byte;
                if (given > size)
                    stream[size] = '0';
                valid = given == size && (inside[changed] || (unsigned char)good.stream[changed] == byte);
                input.stream = stream;
                input.stream_size = given;
                snprintf(where, sizeof where, "pairs %zu, byte %zu of %zu is %u", pairs, changed, given, byte);
                rc = pairs ? lmdb_bulk_put_many(&bulk, &input, 0, &added)
                           : lmdb_bulk_get_many(&bulk, &input, LMDB_BULK_MISSING, &output);
                SAME(rc, valid ? 0 : LMDB_BULK_BAD_INPUT);
                SAME(input.done, valid ? 3 : 0);
                SAME(input.position, valid ? size : 0);
                if (pairs) {
                    SAME(added, valid ? 3 : 0);
                    CHECK(valid ? entries(&db) >= 2 : entries(&db) == 0);
                    mdb_txn_abort(db.txn);
                    OK(mdb_txn_begin(db.env, NULL, 0, &db.txn));
                } else {
                    SAME(output.count, valid ? 3 : 0);
                }
                free(output.stream);
                free(stream);
            }
        free_input(&good);
    }
    close_env(&db);
}

/* Offsets that go back or begin below 0 are refused; those of a slice, that begin anywhere, are not. */
static void columns_malformed(void)
{
    record pairs[] = {{string("a"), string("1")}, {string("b"), string("2")}, {string("c"), string("3")}};
    database db;
    lmdb_bulk bulk;
    size_t i, column, added;
    open_env(&db, 1 << 20);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    bulk = new_bulk(&db);
    for (column = 0; column < 2; column++)
        for (i = 0; i < 4; i++) {
            lmdb_bulk_input input = new_input(LMDB_BULK_COLUMNS, pairs, 3, 1);
            snprintf(where, sizeof where, "column %zu, offset %zu", column, i);
            (column ? &input.values : &input.keys)->offsets[i] = i ? (int64_t)i - 2 : -1;
            SAME(lmdb_bulk_put_many(&bulk, &input, 0, &added), LMDB_BULK_BAD_INPUT);
            SAME(input.done, 0);
            SAME(entries(&db), 0);
            free_input(&input);
        }
    {
        lmdb_bulk_input input = new_input(LMDB_BULK_COLUMNS, pairs, 3, 1), slice = input;
        slice.count = 2;
        slice.keys.offsets++;
        slice.values.offsets++;
        OK(lmdb_bulk_put_many(&bulk, &slice, 0, &added));
        SAME(entries(&db), 2);
        SAME(lmdb_bulk_get(&bulk, "c", 1), 1);
        SAME(*(char *)bulk.value.mv_data, '3');
        free_input(&input);
    }
    close_env(&db);
}

/* --- ranges ------------------------------------------------------------------------------------------------------ */

static void count_ranges(void)
{
    size_t kind, n, count;
    unsigned int i, j, flags;
    char spaces[2][256];
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        lmdb_bulk bulk;
        open_database(&db, KINDS[kind], 60);
        bulk = new_bulk(&db);
        for (i = 0; i < BOUND_COUNT; i++)
            for (j = 0; j < BOUND_COUNT; j++)
                for (flags = 0; flags < 16; flags++) {
                    MDB_val lower = some_bound(&db, i, spaces[0]), upper = some_bound(&db, j, spaces[1]);
                    size_t wanted = 0;
                    snprintf(where, sizeof where, "database %#x, bounds %u and %u, flags %u", db.flags, i, j, flags);
                    for (n = 0; n < db.count; n++)
                        wanted += in_range(&db, n, lower, upper, flags) &&
                                  !(flags & LMDB_BULK_NODUP && n && same_key(&db, n, n - 1));
                    OK(lmdb_bulk_count_range(&bulk, i ? &lower : NULL, j ? &upper : NULL, flags, &count));
                    SAME(count, wanted);
                }
        SAME(lmdb_bulk_count_range(&bulk, NULL, NULL, LMDB_BULK_DUP, &count), EINVAL);
        close_env(&db);
    }
}

/* Delete in a child transaction, compare what went and what is left, and take it back. */
static void check_delete(database *db, MDB_val lower, MDB_val upper, unsigned int flags, size_t limit)
{
    database child = *db;
    lmdb_bulk bulk;
    text got = {0}, wanted = {0};
    size_t n, count, keys = 0, went = 0;
    int rc;
    child.records = NULL;
    child.count = 0;
    OK(mdb_txn_begin(db->env, db->txn, 0, &child.txn));
    bulk = new_bulk(&child);
    for (n = 0; n < db->count; n++) {
        if (in_range(db, n, lower, upper, flags)) {
            keys += went == 0 || !same_key(db, n, n - 1);
            if (keys <= limit) {
                went++;
                continue;
            }
        }
        add_record(&wanted, &db->records[n], 3);
    }
    rc = lmdb_bulk_delete_range(&bulk, &lower, &upper, flags, limit, &count);
    OK(rc);
    SAME(count, went);
    read_records(&child);
    SAME(entries(&child), child.count);
    for (n = 0; n < child.count; n++)
        add_record(&got, &child.records[n], 3);
    text_same(&got, &wanted);
    mdb_txn_abort(child.txn);
    forget_records(&child);
    text_free(&got);
    text_free(&wanted);
}

static void delete_ranges(void)
{
    size_t kind;
    unsigned int i, j, flags;
    char spaces[2][256];
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], 60);
        for (i = 0; i < BOUND_COUNT; i++)
            for (j = 0; j < BOUND_COUNT; j++)
                for (flags = 0; flags < 8; flags += 2) {
                    snprintf(where, sizeof where, "database %#x, bounds %u and %u, flags %u", db.flags, i, j, flags);
                    check_delete(&db, some_bound(&db, i, spaces[0]), some_bound(&db, j, spaces[1]), flags, SIZE_MAX);
                    check_delete(&db, some_bound(&db, i, spaces[0]), some_bound(&db, j, spaces[1]), flags, i + j);
                }
        close_env(&db);
    }
}

/* Ranges over many pages, whose deletion empties pages, joins them and takes levels off the tree. */
static void delete_many_pages(void)
{
    size_t kind, i;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        open_database(&db, KINDS[kind], KINDS[kind] & MDB_DUPSORT ? 400 : 1200);
        for (i = 0; i < 25; i++) {
            size_t lower = chance((unsigned int)db.count), upper = chance((unsigned int)db.count);
            size_t limit = i % 3 ? SIZE_MAX : chance(700);
            unsigned int flags = chance(4) * 2;
            snprintf(where, sizeof where, "database %#x, records %zu to %zu, flags %u, limit %zu", db.flags, lower,
                     upper, flags, limit);
            check_delete(&db, db.records[lower].key, db.records[upper].key, flags, limit);
            check_delete(&db, lower < db.count / 2 ? NONE : db.records[lower].key, NONE, flags, limit);
        }
        close_env(&db);
    }
}

/* In portions, to the end; and an error in the middle, with what went before it. */
static void delete_in_portions(void)
{
    lmdb_bulk_engine failing = failing_engine();
    size_t kind, count, total = 0, keys;
    for (kind = 0; kind < KIND_COUNT; kind++) {
        database db;
        lmdb_bulk bulk;
        open_database(&db, KINDS[kind], 60);
        bulk = new_bulk(&db);
        total = 0;
        snprintf(where, sizeof where, "database %#x", db.flags);
        OK(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, 0, &count));
        SAME(count, 0);
        OK(lmdb_bulk_count_range(&bulk, NULL, NULL, LMDB_BULK_NODUP, &keys));
        SAME(keys, 60);
        bulk.engine = &failing;
        calls_until_failure = 20; /* cursor_get and cursor_del by turns: the tenth deletion */
        SAME(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, SIZE_MAX, &count), MDB_CORRUPTED);
        SAME(entries(&db), db.count - count);
        total = count;
        OK(lmdb_bulk_count_range(&bulk, NULL, NULL, LMDB_BULK_NODUP, &keys));
        SAME(keys, 51);
        do {
            OK(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, 7, &count));
            total += count;
            SAME(entries(&db), db.count - total);
        } while (count);
        SAME(total, db.count);
        SAME(lmdb_bulk_delete_range(&bulk, NULL, NULL, LMDB_BULK_REVERSE, 7, &count), EINVAL);
        close_env(&db);
    }
}

/* The record of a named database is not deleted, and those before it are counted. */
static void delete_meets_a_database(void)
{
    database db;
    lmdb_bulk bulk;
    size_t count;
    MDB_dbi named;
    open_env(&db, 1 << 20);
    OK(mdb_dbi_open(db.txn, NULL, 0, &db.dbi));
    OK(mdb_dbi_open(db.txn, "m", MDB_CREATE, &named));
    bulk = new_bulk(&db);
    OK(lmdb_bulk_put(&bulk, "a", 1, "1", 1));
    OK(lmdb_bulk_put(&bulk, "b", 1, "1", 1));
    OK(lmdb_bulk_put(&bulk, "z", 1, "1", 1));
    SAME(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, SIZE_MAX, &count), MDB_INCOMPATIBLE);
    SAME(count, 2);
    SAME(lmdb_bulk_get(&bulk, "z", 1), MDB_BAD_TXN);
    close_env(&db);
}

/* --- cursors ----------------------------------------------------------------------------------------------------- */

static size_t opened, closed, steps;

static int counting_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    opened++;
    return mdb_cursor_open(txn, dbi, cursor);
}

static void counting_cursor_close(MDB_cursor *cursor)
{
    closed++;
    mdb_cursor_close(cursor);
}

static int counting_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    steps++;
    return mdb_cursor_get(cursor, key, data, op);
}

/* A call closes the cursor that it opened, after an error too, and opens none where the caller has given one. */
static void cursors_are_closed(void)
{
    lmdb_bulk_engine counting = LMDB_BULK_ENGINE;
    record pairs[] = {{string("a"), string("1")}, {string(""), string("2")}};
    unsigned int own, size;
    counting.cursor_open = counting_cursor_open;
    counting.cursor_close = counting_cursor_close;
    for (own = 0; own < 2; own++)
        for (size = 1; size < 3; size++) { /* the second record is an error */
            int wanted = size == 1 ? 0 : MDB_BAD_VALSIZE;
            lmdb_bulk_output output = new_output(LMDB_BULK_PICKLE, 3, 100, 10);
            lmdb_bulk_input input;
            database db;
            lmdb_bulk bulk;
            size_t count;
            snprintf(where, sizeof where, "own %u, records %u", own, size);
            open_env(&db, 1 << 20);
            OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
            bulk = new_bulk(&db);
            bulk.engine = &counting;
            if (own)
                OK(mdb_cursor_open(db.txn, db.dbi, &bulk.cursor));
            opened = closed = 0;
            input = new_input(LMDB_BULK_MARSHAL, pairs, size, 1);
            SAME(lmdb_bulk_put_many(&bulk, &input, 0, &count), wanted);
            free_input(&input);
            SAME(closed, own ? 0 : 1);
            input = new_input(LMDB_BULK_MARSHAL, pairs, size, 0);
            SAME(lmdb_bulk_get_many(&bulk, &input, 0, &output), wanted);
            free_input(&input);
            SAME(closed, own ? 0 : 2);
            OK(lmdb_bulk_count_range(&bulk, NULL, NULL, 0, &count));
            SAME(closed, own ? 0 : 3);
            OK(lmdb_bulk_delete_range(&bulk, NULL, NULL, 0, 9, &count));
            SAME(closed, own ? 0 : 4);
            SAME(opened, closed);
            free(output.stream);
            if (own)
                mdb_cursor_close(bulk.cursor);
            close_env(&db);
        }
}

/* With the caller's cursor, many calls for one key's values take as many steps as one call does. */
static void get_many_goes_on_at_the_cursor(void)
{
    lmdb_bulk_engine counting = LMDB_BULK_ENGINE;
    database db;
    lmdb_bulk bulk;
    lmdb_bulk_input input;
    text got = {0}, wanted = {0};
    counting.cursor_get = counting_cursor_get;
    open_database(&db, MDB_DUPSORT, 16);
    bulk = new_bulk(&db);
    bulk.engine = &counting;
    OK(mdb_cursor_open(db.txn, db.dbi, &bulk.cursor));
    input = new_input(LMDB_BULK_COLUMNS, &db.records[db.count / 2], 1, 0); /* the key with 400 values */
    steps = 0;
    get_all(&bulk, &input, LMDB_BULK_ALL_VALUES, LMDB_BULK_PICKLE, 3, 1 << 16, 10, &got);
    CHECK(steps >= 400 && steps <= 450);
    model_get(&db, &db.records[db.count / 2], 1, LMDB_BULK_ALL_VALUES, 3, &wanted);
    text_same(&got, &wanted);
    text_free(&got);
    text_free(&wanted);
    free_input(&input);
    mdb_cursor_close(bulk.cursor);
    close_env(&db);
}

static void prefix_end(void)
{
    static const struct {
        const char *prefix, *end;
        size_t size;
    } CASES[] = {{"a", "b", 1},           {"az", "a{", 2}, {"a\377", "b", 1}, {"a\377\377", "b", 1},
                 {"\377b\377", "\377c", 2}, {"\377", "", 0}, {"", "", 0},       {"\376", "\377", 1}};
    size_t i;
    for (i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t size = strlen(CASES[i].prefix);
        unsigned char *prefix = malloc(size + 1);
        memcpy(prefix, CASES[i].prefix, size);
        snprintf(where, sizeof where, "case %zu", i);
        SAME(lmdb_bulk_prefix_end(prefix, size), CASES[i].size);
        OK(memcmp(prefix, CASES[i].end, CASES[i].size));
        free(prefix);
    }
    SAME(lmdb_bulk_version(), 1);
}

/* --- Python's formats -------------------------------------------------------------------------------------------- */

static void write_output(lmdb_bulk_output *output)
{
    CHECK(fwrite(output->stream, 1, output->stream_size, stdout) == output->stream_size);
    free(output->stream);
}

/* From stdin: a marshalled list of pairs, and behind it one of keys, both after their sizes (little-endian, 32 bits).
 * To stdout: the pickle of all records, and that of the keys with their values, None for the missing ones. */
static void exchange(void)
{
    lmdb_bulk_input inputs[2];
    lmdb_bulk_output outputs[2];
    MDB_cursor *cursor;
    lmdb_bulk_scan scan;
    lmdb_bulk bulk;
    database db;
    size_t i, added;
    memset(inputs, 0, sizeof inputs);
    for (i = 0; i < 2; i++) {
        unsigned char head[4];
        SAME(fread(head, 1, 4, stdin), 4);
        inputs[i].format = LMDB_BULK_MARSHAL;
        inputs[i].stream_size = number32(head);
        inputs[i].stream = malloc(inputs[i].stream_size);
        SAME(fread((void *)inputs[i].stream, 1, inputs[i].stream_size, stdin), inputs[i].stream_size);
        outputs[i] = new_output(LMDB_BULK_PICKLE, 3, (size_t)1 << 24, 1 << 20);
    }
    open_env(&db, (size_t)1 << 26);
    OK(mdb_dbi_open(db.txn, "db", MDB_CREATE, &db.dbi));
    bulk = new_bulk(&db);
    OK(lmdb_bulk_put_many(&bulk, &inputs[0], 0, &added));
    SAME(added, inputs[0].count);
    OK(mdb_cursor_open(db.txn, db.dbi, &cursor));
    scan = new_scan(&db, cursor, 0, LMDB_BULK_START);
    SAME(lmdb_bulk_scan_next(&scan, &outputs[0]), MDB_NOTFOUND);
    OK(lmdb_bulk_get_many(&bulk, &inputs[1], LMDB_BULK_MISSING, &outputs[1]));
    SAME(inputs[1].done, inputs[1].count);
    mdb_cursor_close(cursor);
    close_env(&db);
    for (i = 0; i < 2; i++) {
        write_output(&outputs[i]);
        free_input(&inputs[i]);
    }
}

#define TESTS(X) \
    X(get_and_put_one) X(pickle_bytes) X(prefix_end) \
    X(scan_ranges) X(scan_capacities) X(scan_fields) X(scan_limits) X(scan_empty_database) X(scan_from_cursor) X(scan_from_nowhere) \
    X(scan_behind_a_deletion) X(scan_and_step_back) X(scan_errors) X(scan_refuses) X(step_as_far_as_it_goes) \
    X(get_many_capacities) X(get_many_small) X(get_many_errors) X(get_many_refuses) \
    X(put_many_stores) X(put_many_flags) X(put_many_append) X(put_many_errors) X(put_many_map_full) \
    X(writing_needs_a_write_transaction) X(marshal_malformed) X(columns_malformed) \
    X(cursors_are_closed) X(get_many_goes_on_at_the_cursor) \
    X(count_ranges) X(delete_ranges) X(delete_many_pages) X(delete_in_portions) X(delete_meets_a_database)

int main(int argc, char **argv)
{
#define ROW(name) {#name, name},
    static const struct {
        const char *name;
        void (*run)(void);
    } TABLE[] = {TESTS(ROW)};
    size_t i;
    int n, ran = 0;
    if (argc < 2)
        return 2;
    folder = argv[1];
    if (argc == 3 && strcmp(argv[2], "--exchange") == 0) {
        test_name = "exchange";
        exchange();
        return 0;
    }
    for (i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
        for (n = 2; n < argc && strcmp(argv[n], TABLE[i].name); n++)
            ;
        if (argc > 2 && n == argc)
            continue;
        test_name = TABLE[i].name;
        where[0] = 0;
        seed = 1;
        calls_until_failure = 0;
        TABLE[i].run();
        printf("%s: ok\n", test_name);
        ran++;
    }
    return ran ? 0 : 2;
}
