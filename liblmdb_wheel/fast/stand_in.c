/* An engine of one database with two records, which nobody can change: for the test that the binding makes of the
 * built-in methods before it trusts them. It opens no file, and says what LMDB would say.
 */
#include <errno.h>
#include <string.h>

#include "lmdb_fast.h"

static const MDB_val RECORDS[][2] = {{{3, "key"}, {5, "value"}}, {{5, "other"}, {7, "another"}}};
enum { COUNT = sizeof RECORDS / sizeof *RECORDS };

struct MDB_txn {
    int open;
};
struct MDB_cursor {
    int place; /* COUNT: unset */
};
static struct MDB_txn the_txn;
static struct MDB_cursor the_cursor;

/* The number of a key's record; COUNT where there is none. */
static int find(const MDB_val *key)
{
    int place = 0;
    while (place < COUNT && (RECORDS[place][0].mv_size != key->mv_size ||
                             memcmp(RECORDS[place][0].mv_data, key->mv_data, key->mv_size) != 0))
        place++;
    return place;
}

static int txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags, MDB_txn **txn)
{
    (void)env, (void)parent, (void)flags;
    the_txn.open = 1;
    *txn = &the_txn;
    return 0;
}

static int txn_renew(MDB_txn *txn)
{
    txn->open = 1;
    return 0;
}

static void txn_end(MDB_txn *txn)
{
    txn->open = 0;
}

static int get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    int place = find(key);
    (void)dbi;
    if (!txn->open)
        return MDB_BAD_TXN;
    if (key->mv_size == 0)
        return MDB_BAD_VALSIZE;
    if (place == COUNT)
        return MDB_NOTFOUND;
    *value = RECORDS[place][1];
    return 0;
}

static int put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned int flags)
{
    (void)dbi, (void)value;
    if (!txn->open)
        return MDB_BAD_TXN;
    return flags & MDB_NOOVERWRITE && find(key) != COUNT ? MDB_KEYEXIST : 0;
}

static int del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    (void)value;
    return get(txn, dbi, key, &(MDB_val){0, NULL});
}

static int cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    (void)dbi;
    the_cursor.place = COUNT;
    *cursor = &the_cursor;
    return txn->open ? 0 : MDB_BAD_TXN;
}

static void cursor_close(MDB_cursor *cursor)
{
    cursor->place = COUNT;
}

static int cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op operation)
{
    int place = cursor->place;
    if (operation == MDB_FIRST || (operation == MDB_NEXT && place == COUNT))
        place = 0;
    else if (operation == MDB_NEXT)
        place++;
    else if (operation == MDB_SET_KEY)
        place = find(key);
    else if (operation != MDB_GET_CURRENT)
        return EINVAL;
    cursor->place = place;
    if (place >= COUNT)
        return MDB_NOTFOUND;
    *key = RECORDS[place][0];
    *value = RECORDS[place][1];
    return 0;
}

static int cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *value, unsigned int flags)
{
    cursor->place = find(key);
    if (cursor->place == COUNT || !(flags & MDB_NOOVERWRITE))
        return 0;
    *value = RECORDS[cursor->place][1];
    return MDB_KEYEXIST;
}

static int cursor_del(MDB_cursor *cursor, unsigned int flags)
{
    (void)flags;
    return cursor->place == COUNT ? EINVAL : 0;
}

static int cursor_count(MDB_cursor *cursor, size_t *count)
{
    *count = 1;
    return cursor->place == COUNT ? EINVAL : 0;
}

static const lmdb_fast_engine STAND_IN = {
    txn_begin,    txn_renew,  txn_end,    txn_end,    get,          put, del, cursor_open,
    cursor_close, cursor_get, cursor_put, cursor_del, cursor_count, 1,
};

const void *lmdb_fast_stand_in(void)
{
    return &STAND_IN;
}
