/* The loops of lmdb_bulk.h: LMDB's own calls, many at a time, and the records put where the caller wants them.
 *
 * No step takes a record that it cannot also give: what does not fit is left at the cursor, or at `done`, and comes
 * first in the next call.
 */
#include "lmdb_bulk.h"

#include <errno.h>
#include <string.h>

/* --- one record -------------------------------------------------------------------------------------------------- */

ptrdiff_t lmdb_bulk_get(lmdb_bulk *bulk, const void *key, size_t key_size)
{
    MDB_val name = {key_size, (void *)key};
    int rc = bulk->engine->get(bulk->txn, bulk->dbi, &name, &bulk->value);
    if (rc != 0)
        return rc < 0 ? rc : -rc;
    if (bulk->value.mv_size != 0 && bulk->value.mv_size <= bulk->capacity)
        memcpy(bulk->buffer, bulk->value.mv_data, bulk->value.mv_size);
    return (ptrdiff_t)bulk->value.mv_size;
}

int lmdb_bulk_put(lmdb_bulk *bulk, const void *key, size_t key_size, const void *value, size_t value_size)
{
    MDB_val name = {key_size, (void *)key};
    MDB_val data = {value_size, (void *)value};
    if (bulk->put_flags & MDB_RESERVE) /* nobody would fill in the space */
        return EINVAL;
    return bulk->engine->put(bulk->txn, bulk->dbi, &name, &data, bulk->put_flags);
}

/* --- input ------------------------------------------------------------------------------------------------------- */

#define MARSHAL_HEADER 5u /* '[', count */

/* A type code and its 32 bits, at `*position`, which is moved behind them; -1 where there is anything else. */
static int64_t marshal_head(const lmdb_bulk_input *input, size_t *position, char type)
{
    const unsigned char *at = (const unsigned char *)input->stream + *position;
    uint32_t number;
    if (input->stream_size - *position < 5 || at[0] != (unsigned char)type)
        return -1;
    number = at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16 | (uint32_t)at[4] << 24;
    if (number > INT32_MAX)
        return -1;
    *position += 5;
    return (int64_t)number;
}

static int marshal_string(const lmdb_bulk_input *input, size_t *position, MDB_val *string)
{
    int64_t size = marshal_head(input, position, 's');
    if (size < 0 || (uint64_t)size > input->stream_size - *position)
        return LMDB_BULK_BAD_INPUT;
    string->mv_size = (size_t)size;
    string->mv_data = (void *)(input->stream + *position);
    *position += (size_t)size;
    return 0;
}

static void column_string(const lmdb_bulk_column *column, size_t i, MDB_val *string)
{
    string->mv_size = (size_t)(column->offsets[i + 1] - column->offsets[i]);
    string->mv_data = column->data + column->offsets[i];
}

/* The record at `done`: a pair, or where `value` is NULL a key. `next` is the position behind it. */
static inline int input_record(const lmdb_bulk_input *input, MDB_val *key, MDB_val *value, size_t *next)
{
    *next = input->position;
    if (input->format == LMDB_BULK_COLUMNS) {
        column_string(&input->keys, input->done, key);
        if (value != NULL)
            column_string(&input->values, input->done, value);
        return 0;
    }
    if (value == NULL)
        return marshal_string(input, next, key);
    if (marshal_head(input, next, '(') != 2 || marshal_string(input, next, key) != 0)
        return LMDB_BULK_BAD_INPUT;
    return marshal_string(input, next, value);
}

static inline void input_advance(lmdb_bulk_input *input, size_t next)
{
    input->position = next;
    input->value = 0;
    input->done++;
}

static int check_column(const lmdb_bulk_column *column, size_t count)
{
    size_t i;
    if (count != 0 && column->offsets[0] < 0)
        return LMDB_BULK_BAD_INPUT;
    for (i = 0; i < count; i++)
        if (column->offsets[i + 1] < column->offsets[i])
            return LMDB_BULK_BAD_INPUT;
    return 0;
}

/* Before the first record: read the whole input for its form, so that none of it is done where any of it is wrong. */
static int input_begin(lmdb_bulk_input *input, int pairs)
{
    lmdb_bulk_input reader = *input;
    MDB_val key, value;
    int64_t count;
    int rc;
    if (input->format == LMDB_BULK_COLUMNS) {
        if (input->done != 0)
            return 0;
        rc = check_column(&input->keys, input->count);
        return rc == 0 && pairs ? check_column(&input->values, input->count) : rc;
    }
    if (input->format != LMDB_BULK_MARSHAL)
        return EINVAL;
    if (input->position != 0)
        return 0;
    count = marshal_head(&reader, &reader.position, '[');
    if (count < 0)
        return LMDB_BULK_BAD_INPUT;
    for (reader.done = 0; reader.done < (size_t)count; reader.done++)
        if (input_record(&reader, &key, pairs ? &value : NULL, &reader.position) != 0)
            return LMDB_BULK_BAD_INPUT;
    if (reader.position != reader.stream_size)
        return LMDB_BULK_BAD_INPUT;
    input->count = (size_t)count;
    input->position = MARSHAL_HEADER;
    return 0;
}

/* --- output ------------------------------------------------------------------------------------------------------ */

static const char PICKLE_HEAD[4] = {'\x80', 3, ']', '('}; /* protocol 3, an empty list, a mark */
static const char PICKLE_TAIL[2] = {'e', '.'};            /* append what is behind the mark; stop */

/* An output while it is filled. */
typedef struct sink {
    lmdb_bulk_output *output;
    size_t count;
    char *next; /* PICKLE, ROWS: where the next byte goes */
    char *end;  /* PICKLE, ROWS: where the last of them may go; the tail of a pickle comes behind it */
} sink;

static int is_size_of_field(const lmdb_bulk_column *column)
{
    return column->capacity != 0 && column->capacity <= LMDB_BULK_FIELD;
}

static int sink_open(sink *sink, lmdb_bulk_output *output)
{
    sink->output = output;
    sink->count = 0;
    sink->next = sink->end = NULL;
    output->count = output->stream_size = output->needed = 0;
    if (output->what == 0 || output->what & ~(LMDB_BULK_KEYS | LMDB_BULK_VALUES))
        return EINVAL;
    if (output->format == LMDB_BULK_COLUMNS) {
        if (output->what & LMDB_BULK_KEYS)
            output->keys.offsets[0] = 0;
        if (output->what & LMDB_BULK_VALUES)
            output->values.offsets[0] = 0;
        return 0;
    }
    if (output->format == LMDB_BULK_ROWS) {
        output->longest_key = output->longest_value = 0;
        if (!is_size_of_field(&output->keys) || !is_size_of_field(&output->values))
            return EINVAL;
        sink->next = output->stream;
        sink->end = output->stream + output->capacity;
        return 0;
    }
    if (output->format == LMDB_BULK_PLACES)
        return 0;
    if (output->format != LMDB_BULK_PICKLE)
        return EINVAL;
    if (output->capacity < LMDB_BULK_PICKLE_EMPTY) {
        output->needed = LMDB_BULK_PICKLE_EMPTY;
        return LMDB_BULK_TOO_LARGE;
    }
    memcpy(output->stream, PICKLE_HEAD, sizeof PICKLE_HEAD);
    sink->next = output->stream + sizeof PICKLE_HEAD;
    sink->end = output->stream + output->capacity - sizeof PICKLE_TAIL;
    return 0;
}

/* Finish the output, whatever ended the call. */
static int sink_close(sink *sink, int rc)
{
    lmdb_bulk_output *output = sink->output;
    output->count = sink->count;
    if (sink->next == NULL)
        return rc;
    if (output->format == LMDB_BULK_PICKLE) {
        memcpy(sink->next, PICKLE_TAIL, sizeof PICKLE_TAIL);
        sink->next += sizeof PICKLE_TAIL;
    }
    output->stream_size = (size_t)(sink->next - output->stream);
    return rc;
}

/* Without data a string is None. LMDB has none of 4 GiB and more (MAXDATASIZE), so 32 bits are enough for a size. */
static inline size_t pickled_size(const MDB_val *string)
{
    return string->mv_data == NULL ? 1 : string->mv_size + (string->mv_size < 256 ? 2 : 5);
}

static inline char *pickle(char *next, const MDB_val *string)
{
    size_t size = string->mv_size;
    if (string->mv_data == NULL) {
        *next = 'N';
        return next + 1;
    }
    if (size < 256) {
        next[0] = 'C';
        next[1] = (char)size;
        next += 2;
    } else {
        next[0] = 'B';
        next[1] = (char)size;
        next[2] = (char)(size >> 8);
        next[3] = (char)(size >> 16);
        next[4] = (char)(size >> 24);
        next += 5;
    }
    memcpy(next, string->mv_data, size);
    return next + size;
}

static inline int column_fits(const lmdb_bulk_column *column, size_t count, const MDB_val *string)
{
    return string->mv_size <= column->capacity - (size_t)column->offsets[count];
}

static inline void column_add(lmdb_bulk_column *column, size_t count, const MDB_val *string)
{
    int64_t offset = column->offsets[count];
    if (string->mv_size != 0) /* a missing value has no data */
        memcpy(column->data + offset, string->mv_data, string->mv_size);
    column->offsets[count + 1] = offset + (int64_t)string->mv_size;
}

/* Whether a field can hold a string: a missing one it could not tell from an empty one. */
static inline int is_field(const lmdb_bulk_column *column, const MDB_val *string)
{
    return string->mv_size < column->capacity && string->mv_data != NULL;
}

static inline char *field(char *next, const lmdb_bulk_column *column, const MDB_val *string, size_t *longest)
{
    *next = (char)string->mv_size;
    memcpy(next + 1, string->mv_data, string->mv_size);
    if (string->mv_size > *longest)
        *longest = string->mv_size;
    return next + column->capacity;
}

/* What is not asked for, or missing, has no bytes. */
static inline int place(sink *sink, unsigned int what, const MDB_val *key, const MDB_val *value)
{
    lmdb_bulk_output *output = sink->output;
    size_t size = (what & LMDB_BULK_KEYS ? key->mv_size : 0) + (what & LMDB_BULK_VALUES ? value->mv_size : 0);
    if (sink->count != 0 && (output->stream_size > output->capacity || size > output->capacity - output->stream_size))
        return 0;
    output->stream_size += size;
    if (what & LMDB_BULK_KEYS)
        ((MDB_val *)output->keys.data)[sink->count] = *key;
    if (what & LMDB_BULK_VALUES)
        ((MDB_val *)output->values.data)[sink->count] = *value;
    return 1;
}

/* Add a record; false where it does not fit in. */
static inline int sink_add(sink *sink, unsigned int what, const MDB_val *key, const MDB_val *value)
{
    lmdb_bulk_output *output = sink->output;
    if (output->format == LMDB_BULK_PICKLE) {
        size_t size = 0;
        char *next = sink->next;
        if (what & LMDB_BULK_KEYS)
            size += pickled_size(key);
        if (what & LMDB_BULK_VALUES)
            size += pickled_size(value);
        if (size > (size_t)(sink->end - next)) {
            output->needed = LMDB_BULK_PICKLE_EMPTY + size;
            return 0;
        }
        if (what & LMDB_BULK_KEYS)
            next = pickle(next, key);
        if (what & LMDB_BULK_VALUES)
            next = pickle(next, value);
        sink->next = next;
    } else if (output->format == LMDB_BULK_ROWS) {
        size_t size = 0;
        char *next = sink->next;
        if ((what & LMDB_BULK_KEYS && !is_field(&output->keys, key)) ||
            (what & LMDB_BULK_VALUES && !is_field(&output->values, value))) {
            output->needed = 0;
            return 0;
        }
        if (what & LMDB_BULK_KEYS)
            size += output->keys.capacity;
        if (what & LMDB_BULK_VALUES)
            size += output->values.capacity;
        if (size > (size_t)(sink->end - next)) {
            output->needed = size;
            return 0;
        }
        if (what & LMDB_BULK_KEYS)
            next = field(next, &output->keys, key, &output->longest_key);
        if (what & LMDB_BULK_VALUES)
            next = field(next, &output->values, value, &output->longest_value);
        sink->next = next;
    } else if (output->format == LMDB_BULK_PLACES) {
        if (!place(sink, what, key, value))
            return 0;
    } else {
        size_t key_size = what & LMDB_BULK_KEYS ? key->mv_size : 0;
        size_t value_size = what & LMDB_BULK_VALUES ? value->mv_size : 0;
        if ((what & LMDB_BULK_KEYS && !column_fits(&output->keys, sink->count, key)) ||
            (what & LMDB_BULK_VALUES && !column_fits(&output->values, sink->count, value))) {
            output->needed = key_size > value_size ? key_size : value_size;
            return 0;
        }
        if (what & LMDB_BULK_KEYS)
            column_add(&output->keys, sink->count, key);
        if (what & LMDB_BULK_VALUES)
            column_add(&output->values, sink->count, value);
    }
    sink->count++;
    return 1;
}

/* The return code where a record did not fit in: only an empty output tells that none of this capacity is enough. */
static int sink_full(const sink *sink)
{
    if (sink->count == 0)
        return LMDB_BULK_TOO_LARGE;
    sink->output->needed = 0;
    return 0;
}

/* --- ranges ------------------------------------------------------------------------------------------------------ */

/* Only the cursor knows whether its database is dupsort: cursor_count refuses the others, before anything else. */
static int is_dupsort(const lmdb_bulk_engine *engine, MDB_cursor *cursor)
{
    size_t count;
    return engine->cursor_count(cursor, &count) != MDB_INCOMPATIBLE;
}

/* Without MDB_DUPSORT, LMDB leaves a value alone that nobody asks for: large ones are in pages of their own. With it,
 * MDB_NEXT and MDB_PREV write to where the value goes without a look whether there is such a place. */
static MDB_val *value_or_null(MDB_val *value, int wanted, int dupsort)
{
    return wanted || dupsort ? value : NULL;
}

static int compare(const lmdb_bulk_scan *scan, const MDB_val *key, const MDB_val *bound)
{
    return scan->engine->cmp(scan->txn, scan->dbi, key, bound);
}

/* No key is empty, so all are above an empty bound. It is never compared: integer keys have no such size. */
static int first_forward(const lmdb_bulk_scan *scan, MDB_val *key, MDB_val *value)
{
    const lmdb_bulk_engine *engine = scan->engine;
    int rc;
    if (scan->lower.mv_data == NULL || scan->lower.mv_size == 0)
        return engine->cursor_get(scan->cursor, key, value, MDB_FIRST);
    *key = scan->lower;
    rc = engine->cursor_get(scan->cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && scan->flags & LMDB_BULK_LOWER_EXCLUDED && compare(scan, key, &scan->lower) == 0)
        rc = engine->cursor_get(scan->cursor, key, value, MDB_NEXT_NODUP);
    return rc;
}

static int first_reverse(const lmdb_bulk_scan *scan, MDB_val *key, MDB_val *value)
{
    const lmdb_bulk_engine *engine = scan->engine;
    MDB_val same_key, last;
    int rc;
    if (scan->upper.mv_data == NULL)
        return engine->cursor_get(scan->cursor, key, value, MDB_LAST);
    if (scan->upper.mv_size == 0)
        return MDB_NOTFOUND;
    *key = scan->upper;
    rc = engine->cursor_get(scan->cursor, key, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return engine->cursor_get(scan->cursor, key, value, MDB_LAST);
    if (rc != 0)
        return rc;
    if (!(scan->flags & LMDB_BULK_UPPER_INCLUDED) || compare(scan, key, &scan->upper) != 0)
        return engine->cursor_get(scan->cursor, key, value, MDB_PREV_NODUP);
    /* It may fill in the value alone, or not be for this database, where the one value is the last. */
    rc = engine->cursor_get(scan->cursor, &same_key, &last, MDB_LAST_DUP);
    if (rc == 0 && value != NULL)
        *value = last;
    return rc == MDB_INCOMPATIBLE ? 0 : rc;
}

static inline int beyond_upper(const lmdb_bulk_scan *scan, const MDB_val *key)
{
    int order;
    if (scan->upper.mv_data == NULL)
        return 0;
    if (scan->upper.mv_size == 0)
        return 1;
    order = compare(scan, key, &scan->upper);
    return order > 0 || (order == 0 && !(scan->flags & LMDB_BULK_UPPER_INCLUDED));
}

static inline int beyond_lower(const lmdb_bulk_scan *scan, const MDB_val *key)
{
    int order;
    if (scan->lower.mv_data == NULL || scan->lower.mv_size == 0)
        return 0;
    order = compare(scan, key, &scan->lower);
    return order < 0 || (order == 0 && scan->flags & LMDB_BULK_LOWER_EXCLUDED);
}

#define RANGE_FLAGS (LMDB_BULK_LOWER_EXCLUDED | LMDB_BULK_UPPER_INCLUDED)
#define SCAN_FLAGS (RANGE_FLAGS | LMDB_BULK_REVERSE | LMDB_BULK_NODUP | LMDB_BULK_DUP)

int lmdb_bulk_scan_next(lmdb_bulk_scan *scan, lmdb_bulk_output *output)
{
    static const MDB_cursor_op steps[2][3] = {
        {MDB_NEXT, MDB_NEXT_NODUP, MDB_NEXT_DUP},
        {MDB_PREV, MDB_PREV_NODUP, MDB_PREV_DUP},
    };
    const unsigned int flags = scan->flags;
    const int reverse = (flags & LMDB_BULK_REVERSE) != 0;
    const int bounded = (reverse ? scan->lower.mv_data : scan->upper.mv_data) != NULL;
    const MDB_cursor_op step = steps[reverse][flags & LMDB_BULK_DUP ? 2 : flags & LMDB_BULK_NODUP ? 1 : 0];
    int (*const cursor_get)(MDB_cursor *, MDB_val *, MDB_val *, MDB_cursor_op) = scan->engine->cursor_get;
    MDB_cursor *const cursor = scan->cursor;
    const unsigned int what = output->what;
    sink sink;
    MDB_val key = {0, NULL}, data = {0, NULL};
    MDB_val *value;
    size_t most;
    int dupsort, last;
    int rc = sink_open(&sink, output);
    if (rc != 0)
        return rc;
    if (flags & ~SCAN_FLAGS || (flags & LMDB_BULK_NODUP && flags & LMDB_BULK_DUP) || scan->state > LMDB_BULK_END)
        return sink_close(&sink, EINVAL);
    if (scan->state == LMDB_BULK_END || scan->remaining == 0) {
        scan->state = LMDB_BULK_END;
        return sink_close(&sink, MDB_NOTFOUND);
    }
    if (output->limit == 0)
        return sink_close(&sink, 0);

    scan->beyond = 0;
    most = output->limit < scan->remaining ? output->limit : scan->remaining;
    dupsort = is_dupsort(scan->engine, cursor);
    value = value_or_null(&data, what & LMDB_BULK_VALUES, dupsort);
    last = flags & LMDB_BULK_DUP && !dupsort; /* MDB_NEXT_DUP would go on to the next key */
    if (scan->state == LMDB_BULK_START) {
        rc = reverse ? first_reverse(scan, &key, value) : first_forward(scan, &key, value);
    } else if (scan->state == LMDB_BULK_CURRENT) {
        rc = cursor_get(cursor, &key, value, MDB_GET_CURRENT);
        if (rc == EINVAL) /* the cursor is nowhere */
            rc = MDB_NOTFOUND;
    } else {
        rc = last ? MDB_NOTFOUND : cursor_get(cursor, &key, value, step);
    }
    while (rc == 0) {
        if (bounded && (reverse ? beyond_lower(scan, &key) : beyond_upper(scan, &key))) {
            scan->beyond = 1;
            rc = MDB_NOTFOUND;
            break;
        }
        if (!sink_add(&sink, what, &key, &data)) {
            scan->beyond = 1;
            scan->state = LMDB_BULK_CURRENT;
            rc = sink_full(&sink);
            break;
        }
        scan->state = LMDB_BULK_AFTER;
        if (sink.count == most)
            break;
        rc = last ? MDB_NOTFOUND : cursor_get(cursor, &key, value, step);
    }
    scan->remaining -= sink.count;
    if (rc == 0 && scan->remaining == 0)
        rc = MDB_NOTFOUND;
    if (rc == MDB_NOTFOUND)
        scan->state = LMDB_BULK_END;
    return sink_close(&sink, rc);
}

int lmdb_bulk_step(const lmdb_bulk_engine *engine, MDB_cursor *cursor, MDB_cursor_op op, size_t count, size_t *done)
{
    MDB_val key, data;
    MDB_val *value = value_or_null(&data, 0, is_dupsort(engine, cursor));
    int rc = 0;
    for (*done = 0; *done < count; ++*done)
        if ((rc = engine->cursor_get(cursor, &key, value, op)) != 0)
            break;
    return rc;
}

/* --- many records ------------------------------------------------------------------------------------------------ */

static int borrow_cursor(const lmdb_bulk *bulk, MDB_cursor **cursor)
{
    *cursor = bulk->cursor;
    return *cursor != NULL ? 0 : bulk->engine->cursor_open(bulk->txn, bulk->dbi, cursor);
}

static int return_cursor(const lmdb_bulk *bulk, MDB_cursor *cursor, int rc)
{
    if (cursor != bulk->cursor)
        bulk->engine->cursor_close(cursor);
    return rc;
}

/* Move to the value of a key at which the call before stopped. */
static int resume_value(const lmdb_bulk *bulk, MDB_cursor *cursor, MDB_val *key, MDB_val *value, size_t number)
{
    size_t done;
    int rc;
    if (cursor == bulk->cursor)
        return bulk->engine->cursor_get(cursor, key, value, MDB_GET_CURRENT);
    rc = bulk->engine->cursor_get(cursor, key, value, MDB_SET_KEY);
    if (rc == 0)
        rc = lmdb_bulk_step(bulk->engine, cursor, MDB_NEXT_DUP, number, &done);
    return rc == 0 ? bulk->engine->cursor_get(cursor, key, value, MDB_GET_CURRENT) : rc;
}

/* A missing key; alone, and not in a column, which says `found`, it is no key that stands for it. */
static int add_missing(sink *sink, const MDB_val *asked)
{
    static const MDB_val none = {0, NULL};
    const lmdb_bulk_output *output = sink->output;
    int alone = output->format != LMDB_BULK_COLUMNS && output->what == LMDB_BULK_KEYS;
    return sink_add(sink, output->what, alone ? &none : asked, &none);
}

int lmdb_bulk_get_many(lmdb_bulk *bulk, lmdb_bulk_input *keys, unsigned int flags, lmdb_bulk_output *output)
{
    const lmdb_bulk_engine *engine = bulk->engine;
    unsigned char *found = output->format == LMDB_BULK_COLUMNS ? output->found : NULL;
    MDB_cursor *cursor;
    MDB_val asked, key, data = {0, NULL};
    MDB_val *value;
    sink sink;
    size_t next;
    int dupsort, all;
    int rc = sink_open(&sink, output);
    if (rc != 0)
        return rc;
    if (flags != 0 && flags != LMDB_BULK_MISSING && flags != LMDB_BULK_ALL_VALUES)
        return sink_close(&sink, EINVAL);
    if ((rc = input_begin(keys, 0)) != 0 || (rc = borrow_cursor(bulk, &cursor)) != 0)
        return sink_close(&sink, rc);

    dupsort = is_dupsort(engine, cursor);
    value = value_or_null(&data, output->what & LMDB_BULK_VALUES, dupsort);
    all = flags & LMDB_BULK_ALL_VALUES && dupsort; /* MDB_NEXT_DUP would go on to the next key */
    while (keys->done < keys->count && sink.count < output->limit) {
        if ((rc = input_record(keys, &asked, NULL, &next)) != 0)
            break;
        key = asked;
        rc = keys->value == 0 ? engine->cursor_get(cursor, &key, value, MDB_SET_KEY)
                              : resume_value(bulk, cursor, &key, value, keys->value);
        if (rc != 0 && rc != MDB_NOTFOUND)
            break;
        if (rc == MDB_NOTFOUND && flags & LMDB_BULK_MISSING) {
            if (found != NULL)
                found[sink.count] = 0;
            if (!add_missing(&sink, &asked)) {
                rc = sink_full(&sink);
                goto end;
            }
        }
        while (rc == 0) {
            if (found != NULL)
                found[sink.count] = 1;
            if (!sink_add(&sink, output->what, &key, &data)) {
                rc = sink_full(&sink);
                goto end;
            }
            if (!all)
                break;
            keys->value++;
            rc = engine->cursor_get(cursor, &key, value, MDB_NEXT_DUP);
            if ((rc == 0 && sink.count == output->limit) || (rc != 0 && rc != MDB_NOTFOUND))
                goto end;
        }
        rc = 0;
        input_advance(keys, next);
    }
end:
    return sink_close(&sink, return_cursor(bulk, cursor, rc));
}

/* Whether MDB_KEYEXIST means what the caller asked to be spared: that the record is there. With MDB_APPEND or
 * MDB_APPENDDUP it may also mean one that is out of order and was not stored. With MDB_NOOVERWRITE LMDB has put the
 * value that it found into `value`, which is not looked at then. */
static int is_there(const lmdb_bulk_engine *engine, MDB_cursor *cursor, MDB_val key, MDB_val value, unsigned int flags)
{
    MDB_val any;
    if (!(flags & (MDB_NOOVERWRITE | MDB_NODUPDATA)))
        return 0;
    if (!(flags & (MDB_APPEND | MDB_APPENDDUP)))
        return 1;
    if (flags & MDB_NOOVERWRITE)
        return engine->cursor_get(cursor, &key, &any, MDB_SET) == 0;
    return engine->cursor_get(cursor, &key, &value, MDB_GET_BOTH) == 0;
}

int lmdb_bulk_put_many(lmdb_bulk *bulk, lmdb_bulk_input *pairs, unsigned int flags, size_t *added)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t next;
    int rc;
    *added = 0;
    if (flags & ~(unsigned)(MDB_NOOVERWRITE | MDB_NODUPDATA | MDB_APPEND | MDB_APPENDDUP))
        return EINVAL;
    if ((rc = input_begin(pairs, 1)) != 0 || (rc = borrow_cursor(bulk, &cursor)) != 0)
        return rc;
    while (pairs->done < pairs->count) {
        if ((rc = input_record(pairs, &key, &value, &next)) != 0)
            break;
        rc = bulk->engine->cursor_put(cursor, &key, &value, flags);
        if (rc == 0)
            ++*added;
        else if (rc != MDB_KEYEXIST || !is_there(bulk->engine, cursor, key, value, flags))
            break;
        rc = 0;
        input_advance(pairs, next);
    }
    return return_cursor(bulk, cursor, rc);
}

static int open_range(const lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                      lmdb_bulk_scan *range)
{
    static const MDB_val unbounded = {0, NULL};
    range->engine = bulk->engine;
    range->txn = bulk->txn;
    range->dbi = bulk->dbi;
    range->lower = lower != NULL ? *lower : unbounded;
    range->upper = upper != NULL ? *upper : unbounded;
    range->flags = flags & RANGE_FLAGS;
    return borrow_cursor(bulk, &range->cursor);
}

int lmdb_bulk_count_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                          size_t *count)
{
    const lmdb_bulk_engine *engine = bulk->engine;
    lmdb_bulk_scan range;
    MDB_val key, data;
    MDB_val *value;
    int dupsort, rc;
    *count = 0;
    if (flags & ~(RANGE_FLAGS | LMDB_BULK_REVERSE | LMDB_BULK_NODUP))
        return EINVAL;
    if ((rc = open_range(bulk, lower, upper, flags, &range)) != 0)
        return rc;
    dupsort = is_dupsort(engine, range.cursor);
    value = value_or_null(&data, 0, dupsort);
    rc = first_forward(&range, &key, value);
    while (rc == 0 && !beyond_upper(&range, &key)) {
        size_t values = 1;
        if (dupsort && !(flags & LMDB_BULK_NODUP) && (rc = engine->cursor_count(range.cursor, &values)) != 0)
            break;
        *count += values;
        rc = engine->cursor_get(range.cursor, &key, value, MDB_NEXT_NODUP);
    }
    return return_cursor(bulk, range.cursor, rc == MDB_NOTFOUND ? 0 : rc);
}

int lmdb_bulk_delete_range(lmdb_bulk *bulk, const MDB_val *lower, const MDB_val *upper, unsigned int flags,
                           size_t limit, size_t *count)
{
    const lmdb_bulk_engine *engine = bulk->engine;
    lmdb_bulk_scan range;
    MDB_val key, data;
    MDB_val *value;
    size_t keys = 0;
    int dupsort, rc;
    *count = 0;
    if (flags & ~RANGE_FLAGS)
        return EINVAL;
    if (limit == 0)
        return 0;
    if ((rc = open_range(bulk, lower, upper, flags, &range)) != 0)
        return rc;
    dupsort = is_dupsort(engine, range.cursor);
    value = value_or_null(&data, 0, dupsort);
    rc = first_forward(&range, &key, value);
    while (rc == 0 && !beyond_upper(&range, &key)) {
        size_t values = 1;
        if (dupsort && (rc = engine->cursor_count(range.cursor, &values)) != 0)
            break;
        if ((rc = engine->cursor_del(range.cursor, MDB_NODUPDATA)) != 0)
            break;
        *count += values;
        if (++keys == limit)
            break;
        /* The cursor is at the key that followed, marked (C_DEL), and this step gives that key. MDB_NEXT would look
         * into its values first, which are not set up in every case. */
        rc = engine->cursor_get(range.cursor, &key, value, MDB_NEXT_NODUP);
    }
    return return_cursor(bulk, range.cursor, rc == MDB_NOTFOUND ? 0 : rc);
}

size_t lmdb_bulk_prefix_end(unsigned char *prefix, size_t size)
{
    while (size != 0 && prefix[size - 1] == 255)
        size--;
    if (size != 0)
        prefix[size - 1]++;
    return size;
}

int lmdb_bulk_version(void)
{
    return 1;
}
