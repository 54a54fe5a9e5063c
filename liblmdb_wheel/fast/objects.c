/* The base classes of the binding's four, and what all their methods need. */
#include "objects.h"

#include <errno.h>
#include <stddef.h>

Py_ssize_t head;
int free_threaded;
PyObject *none, *yes, *no, *fail, *wake, *environment_type, *database_type, *transaction_type, *cursor_type, *iterator_type;

/* --- arguments and results ---------------------------------------------------------------------------------------- */

PyObject *slowly(const method *method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t i, named = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *result = NULL, *keywords = named ? PyDict_New() : NULL, *all = PyTuple_New(count + 1);
    if (all == NULL || (named && keywords == NULL))
        goto end;
    PyTuple_SetItem(all, 0, new_reference(self));
    for (i = 0; i < count; i++)
        PyTuple_SetItem(all, i + 1, new_reference(args[i]));
    for (i = 0; i < named; i++)
        if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[count + i]) != 0)
            goto end;
    result = PyObject_Call(method->slow, all, keywords);
end:
    Py_DecRef(keywords);
    Py_DecRef(all);
    return result;
}

int sort_arguments(const method *method, PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **sorted)
{
    Py_ssize_t i, place, most = 0, named = names == NULL ? 0 : PyTuple_Size(names);
    while (method->names[most] != NULL)
        sorted[most++] = NULL;
    if (count > most)
        return 0;
    for (i = 0; i < count; i++)
        sorted[i] = args[i];
    for (i = 0; i < named; i++) {
        /* Names in a call are interned, so that their addresses tell; where they are not, Python looks. */
        PyObject *name = PyTuple_GetItem(names, i);
        for (place = count; place < most && method->interned[place] != name; place++)
            ;
        if (place == most || sorted[place] != NULL)
            return 0;
        sorted[place] = args[count + i];
    }
    for (place = 0; place < method->least; place++)
        if (sorted[place] == NULL)
            return 0;
    return 1;
}

int bytes_of(PyObject *object, MDB_val *value)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &data, &size) != 0) {
        PyErr_Clear(); /* another type */
        return 0;
    }
    value->mv_data = data;
    value->mv_size = (size_t)size;
    return 1;
}

int flag_of(PyObject *object, int when, unsigned flag, unsigned *flags)
{
    if (object != NULL && object != yes && object != no)
        return 0;
    if (object == (when ? yes : no))
        *flags |= flag;
    return 1;
}

int is_of(PyObject *object, PyObject *type)
{
    PyTypeObject *found = (PyTypeObject *)PyObject_Type(object);
    Py_DecRef((PyObject *)found); /* the object has it */
    return PyType_IsSubtype(found, (PyTypeObject *)type);
}

PyObject *failed(const char *function, int rc)
{
    return PyObject_CallFunction(fail, "si", function, rc);
}

PyObject *copy_of(const MDB_val *value)
{
    return PyBytes_FromStringAndSize(value->mv_data, (Py_ssize_t)value->mv_size);
}

/* --- the short way ------------------------------------------------------------------------------------------------ */

static int is_usual(const transaction *t)
{
    return t->engine != NULL && t->engine->is_on && t->txn != NULL && !t->lent;
}

int enter(transaction *t)
{
    if (!free_threaded)
        return is_usual(t) && (t->token == NULL || PyList_Size(t->token) == 1);
    if (t->token == NULL)
        return 0;
    if (PySequence_DelItem(t->token, 0) != 0) {
        PyErr_Clear(); /* somebody has it */
        return 0;
    }
    if (is_usual(t)) /* not asked before: it is for who has the token to know */
        return 1;
    leave(t);
    return 0;
}

void leave(transaction *t)
{
    /* Where memory is out, which an empty list needs, it is tried again: nobody could use the transaction without. */
    while (free_threaded && PyList_Append(t->token, none) != 0)
        PyErr_Clear();
}

static int is_a_database(PyObject *object)
{
    PyObject *type = PyObject_Type(object);
    Py_DecRef(type); /* the object has it */
    return type == database_type;
}

const database *database_for(transaction *t, PyObject *named, const MDB_val *key)
{
    PyObject *chosen = named == NULL || named == none ? t->db : named;
    const database *d;
    if (chosen == NULL)
        return NULL;
    if (chosen != t->checked) {
        if (!is_a_database(chosen))
            return NULL;
        if (chosen == t->db)
            t->checked = chosen;
    }
    d = fields(chosen);
    if (d->dbi < 0 || t->env == NULL || d->home != ((environment *)fields(t->env))->number)
        return NULL;
    if (key != NULL && d->flags & MDB_INTEGERKEY && key->mv_size != 4 && key->mv_size != 8)
        return NULL; /* LMDB would read past its end */
    return d;
}

int is_open(const environment *e)
{
    return e->engine != NULL && e->engine->is_on && e->env != NULL && PyList_Size(e->doors) == 1;
}

/* --- light objects ------------------------------------------------------------------------------------------------ */

PyObject *new_object(PyObject *type)
{
    return PyType_GenericAlloc((PyTypeObject *)type, 0);
}

void link_light(light *l, light **list)
{
    l->state = LIGHT;
    l->next = *list;
    l->place = list;
    if (l->next != NULL)
        l->next->place = &l->next;
    *list = l;
}

void unlink_light(light *l)
{
    if (l->place == NULL)
        return;
    *l->place = l->next;
    if (l->next != NULL)
        l->next->place = l->place;
    l->next = NULL;
    l->place = NULL;
}

void end_light_cursor(cursor *c)
{
    const transaction *t = fields(c->txn);
    unlink_light(&c->light);
    t->engine->cursor_close(c->cursor);
    c->cursor = NULL;
}

/* Keep a finished read transaction for the next; false where enough are kept. */
static int keep_spare(const environment *e, const transaction *t)
{
    PyObject *number;
    int kept;
    if (PyList_Size(e->spare) >= e->max_spare || (number = PyLong_FromVoidPtr(t->txn)) == NULL) {
        PyErr_Clear();
        return 0;
    }
    kept = PyList_Append(e->spare, number) == 0;
    Py_DecRef(number);
    if (kept)
        t->engine->txn_reset(t->txn);
    else
        PyErr_Clear();
    return kept;
}

void end_light_transaction(transaction *t)
{
    const environment *e = fields(t->env);
    while (t->lights != NULL)
        end_light_cursor((cursor *)t->lights);
    unlink_light(&t->light);
    if (!keep_spare(e, t))
        t->engine->txn_abort(t->txn);
    t->txn = NULL;
}

/* --- what Python calls of the base classes ------------------------------------------------------------------------ */

static PyObject *end_lights_of_environment(PyObject *self, PyObject *unused)
{
    environment *e = fields(self);
    (void)unused;
    while (e->lights != NULL)
        end_light_transaction((transaction *)e->lights);
    return new_reference(none);
}

/* All, or those of one database. */
static PyObject *end_lights_of_transaction(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    light *l = ((transaction *)fields(self))->lights, *next;
    for (; l != NULL; l = next) {
        next = l->next;
        if (count == 0 || ((cursor *)l)->db == args[0])
            end_light_cursor((cursor *)l);
    }
    return new_reference(none);
}

static void disown_light_cursors(transaction *t)
{
    while (t->lights != NULL) {
        ((cursor *)t->lights)->cursor = NULL;
        unlink_light(t->lights);
    }
}

/* In a child of fork(): what LMDB has of it is the parent's. */
static PyObject *disown_lights_of_environment(PyObject *self, PyObject *unused)
{
    environment *e = fields(self);
    (void)unused;
    while (e->lights != NULL) {
        transaction *t = (transaction *)e->lights;
        disown_light_cursors(t);
        t->txn = NULL;
        unlink_light(&t->light);
    }
    return new_reference(none);
}

static PyObject *disown_lights_of_transaction(PyObject *self, PyObject *unused)
{
    (void)unused;
    disown_light_cursors(fields(self));
    return new_reference(none);
}

static PyObject *count_of(const light *l)
{
    size_t count = 0;
    for (; l != NULL; l = l->next)
        count++;
    return PyLong_FromSize_t(count);
}

static PyObject *count_lights_of_environment(PyObject *self, PyObject *unused)
{
    (void)unused;
    return count_of(((environment *)fields(self))->lights);
}

static PyObject *count_lights_of_transaction(PyObject *self, PyObject *unused)
{
    (void)unused;
    return count_of(((transaction *)fields(self))->lights);
}

/* The lock or the handle, which Python asks for before it does anything. `closure` is where it is. */
static PyObject *get_waking(PyObject *self, void *closure)
{
    PyObject **field = (PyObject **)((char *)fields(self) + (size_t)closure);
    if (*field == NULL && ((light *)fields(self))->state == LIGHT) {
        PyObject *woken = PyObject_CallFunction(wake, "O", self);
        Py_DecRef(woken);
        if (woken == NULL)
            return NULL;
    }
    if (*field != NULL)
        return new_reference(*field);
    return PyObject_GetAttrString(self, "_begun"); /* raises AttributeError: it never was, an __init__ is missing */
}

static int set_reference(PyObject *self, PyObject *value, void *closure)
{
    PyObject **field = (PyObject **)((char *)fields(self) + (size_t)closure), *before = *field;
    Py_IncRef(value);
    *field = value;
    Py_DecRef(before);
    return 0;
}

/* _become(model, names, handle, dependents, reference), for Python: a light object is woken. It gets the lock of `model`,
 * an object of its class that Python has made, and the attributes of these names; the handle; and a place among the
 * dependents of what it lives in. All at once, since it may be woken, used and ended by whoever comes while Python makes
 * all that: then this changes nothing, or gives it no handle.
 */
static PyObject *become(PyObject *self, PyObject *const *args, int is_open, size_t lock, size_t handle)
{
    light *l = fields(self);
    PyObject *names = args[1], *key, *value;
    Py_ssize_t i;
    int rc = 0;
    if (l->state != LIGHT)
        return new_reference(none);
    for (i = 0; rc == 0 && i < PyTuple_Size(names); i++) {
        if ((value = PyObject_GetAttr(args[0], PyTuple_GetItem(names, i))) == NULL)
            return NULL;
        rc = PyObject_SetAttr(self, PyTuple_GetItem(names, i), value);
        Py_DecRef(value);
    }
    if (rc == 0 && is_open) {
        if ((key = PyLong_FromVoidPtr(self)) == NULL) /* id() */
            return NULL;
        rc = PyDict_SetItem(args[3], key, args[4]);
        Py_DecRef(key);
    }
    if (rc != 0)
        return NULL;
    unlink_light(l);
    l->state = NOT_LIGHT;
    set_reference(self, is_open ? args[2] : none, (void *)handle);
    set_reference(self, *(PyObject **)((char *)fields(args[0]) + lock), (void *)lock);
    return new_reference(none);
}

enum { BECOME_ARGUMENTS = 5 };

static PyObject *become_transaction(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    transaction *t = fields(self);
    if (count != BECOME_ARGUMENTS || !is_of(args[0], transaction_type))
        return failed("_become", EINVAL);
    return become(self, args, t->txn != NULL, offsetof(transaction, lock), offsetof(transaction, handle));
}

static PyObject *become_cursor(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    cursor *c = fields(self);
    if (count != BECOME_ARGUMENTS || !is_of(args[0], cursor_type))
        return failed("_become", EINVAL);
    return become(self, args, c->cursor != NULL, offsetof(cursor, lock), offsetof(cursor, handle));
}

/* --- the base classes --------------------------------------------------------------------------------------------- */

#define MEMBER(structure, name, field, type) {name, type, offsetof(structure, field), 0, NULL}

/* What wakes is asked for by a function. Where nothing is ever light, it is a member, since the interpreter reads those
 * safely while another thread sets them.
 */
enum { WAKING_COUNT = 2 };
#define WAKING_MEMBERS(structure)                                                                                      \
    MEMBER(structure, "_lock", lock, T_OBJECT_EX), MEMBER(structure, "_handle", handle, T_OBJECT_EX)
#define WAKING_PROPERTIES(structure)                                                                                   \
    {"_lock", get_waking, set_reference, NULL, (void *)offsetof(structure, lock)},                                     \
        {"_handle", get_waking, set_reference, NULL, (void *)offsetof(structure, handle)},                             \
        {NULL, NULL, NULL, NULL, NULL}

static PyMemberDef environment_members[] = {
    MEMBER(environment, "_functions", engine, T_ULONG),
    MEMBER(environment, "_address", env, T_ULONG),
    MEMBER(environment, "_main", main, T_OBJECT),
    MEMBER(environment, "_spare", spare, T_OBJECT_EX),
    MEMBER(environment, "_doors", doors, T_OBJECT_EX),
    MEMBER(environment, "_max_spare", max_spare, T_PYSSIZET),
    MEMBER(environment, "_generation", generation, T_PYSSIZET),
    MEMBER(environment, "_number", number, T_ULONG),
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef database_members[] = {
    MEMBER(database, "_dbi", dbi, T_INT),
    MEMBER(database, "_flags", flags, T_UINT),
    MEMBER(database, "_home", home, T_ULONG),
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef transaction_members[] = {
    MEMBER(transaction, "_functions", engine, T_ULONG),
    MEMBER(transaction, "_address", txn, T_ULONG),
    {"env", T_OBJECT_EX, offsetof(transaction, env), READONLY, NULL}, /* C believes what it finds there */
    MEMBER(transaction, "_db", db, T_OBJECT_EX),
    MEMBER(transaction, "_token", token, T_OBJECT_EX),
    MEMBER(transaction, "_mutations", mutations, T_PYSSIZET),
    MEMBER(transaction, "_generation", generation, T_PYSSIZET),
    MEMBER(transaction, "_iterating", iterating, T_BOOL),
    MEMBER(transaction, "_lent", lent, T_BOOL),
    MEMBER(transaction, "_light", light.state, T_INT),
    MEMBER(transaction, "_parent", parent, T_OBJECT),
    MEMBER(transaction, "_views", views, T_OBJECT),
    MEMBER(transaction, "_snapshot", snapshot, T_OBJECT),
    MEMBER(transaction, "_direct", direct, T_OBJECT),
    MEMBER(transaction, "_write", write, T_BOOL),
    MEMBER(transaction, "_buffers", buffers, T_BOOL),
    MEMBER(transaction, "_empty", empty, T_BOOL),
    MEMBER(transaction, "_abandoned", abandoned, T_BOOL),
    WAKING_MEMBERS(transaction),
    {NULL, 0, 0, 0, NULL},
};
static PyMemberDef cursor_members[] = {
    MEMBER(cursor, "_address", cursor, T_ULONG),
    {"txn", T_OBJECT_EX, offsetof(cursor, txn), READONLY, NULL}, /* C believes what it finds there */
    {"db", T_OBJECT_EX, offsetof(cursor, db), READONLY, NULL},
    MEMBER(cursor, "_iteration", iteration, T_OBJECT),
    MEMBER(cursor, "_seen", seen, T_PYSSIZET),
    MEMBER(cursor, "_found", found, T_PYSSIZET),
    MEMBER(cursor, "_dbi", dbi, T_UINT),
    MEMBER(cursor, "_positioned", positioned, T_BOOL),
    MEMBER(cursor, "_light", light.state, T_INT),
    MEMBER(cursor, "_key", key_place, T_OBJECT_EX),
    MEMBER(cursor, "_value", value_place, T_OBJECT_EX),
    MEMBER(cursor, "_lib", lib, T_OBJECT_EX),
    MEMBER(cursor, "_out", out, T_OBJECT_EX),
    WAKING_MEMBERS(cursor),
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef transaction_properties[] = {WAKING_PROPERTIES(transaction)};
static PyGetSetDef cursor_properties[] = {WAKING_PROPERTIES(cursor)};

static PyMethodDef environment_calls[] = {
    {"_end_lights", end_lights_of_environment, METH_NOARGS, NULL},
    {"_disown_lights", disown_lights_of_environment, METH_NOARGS, NULL},
    {"_count_lights", count_lights_of_environment, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef transaction_calls[] = {
    {"_belong", (PyCFunction)(void *)place_transaction, METH_FASTCALL, NULL},
    {"_end_lights", (PyCFunction)(void *)end_lights_of_transaction, METH_FASTCALL, NULL},
    {"_disown_lights", disown_lights_of_transaction, METH_NOARGS, NULL},
    {"_count_lights", count_lights_of_transaction, METH_NOARGS, NULL},
    {"_become", (PyCFunction)(void *)become_transaction, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef cursor_calls[] = {
    {"_belong", (PyCFunction)(void *)place_cursor, METH_FASTCALL, NULL},
    {"_places", places, METH_NOARGS, NULL},
    {"_become", (PyCFunction)(void *)become_cursor, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

/* Where the fields have references to other objects; the end is NOWHERE, where no field of them is. */
enum { NOWHERE = 0 };
static const size_t environment_references[] = {
    offsetof(environment, main), offsetof(environment, spare), offsetof(environment, doors), NOWHERE,
};
static const size_t transaction_references[] = {
    offsetof(transaction, env), offsetof(transaction, db), offsetof(transaction, token), offsetof(transaction, lock),
    offsetof(transaction, handle), offsetof(transaction, parent), offsetof(transaction, views),
    offsetof(transaction, snapshot), offsetof(transaction, direct), NOWHERE,
};
static const size_t cursor_references[] = {
    offsetof(cursor, txn), offsetof(cursor, db), offsetof(cursor, lock), offsetof(cursor, handle),
    offsetof(cursor, iteration), offsetof(cursor, key_place), offsetof(cursor, value_place), offsetof(cursor, lib),
    offsetof(cursor, out), NOWHERE,
};
static const size_t iterator_references[] = {offsetof(iterator, cursor), NOWHERE};

static PyObject **reference_at(PyObject *self, size_t place)
{
    return (PyObject **)((char *)fields(self) + place);
}

static int traverse(PyObject *self, const size_t *place, visitproc visit, void *arg)
{
    PyObject *type = PyObject_Type(self), *found;
    int stop = visit(type, arg);
    Py_DecRef(type);
    for (; !stop && *place != NOWHERE; place++)
        if ((found = *reference_at(self, *place)) != NULL)
            stop = visit(found, arg);
    return stop;
}

static int clear(PyObject *self, const size_t *place)
{
    PyObject **reference, *before;
    for (; *place != NOWHERE; place++) {
        reference = reference_at(self, *place);
        if ((before = *reference) != NULL) {
            *reference = NULL;
            Py_DecRef(before);
        }
    }
    return 0;
}

static void deallocate(PyObject *self, const size_t *references)
{
    PyObject *type = PyObject_Type(self);
    PyObject_GC_UnTrack(self);
    clear(self, references);
    PyObject_GC_Del(self);
    Py_DecRef(type);
    Py_DecRef(type); /* the object's own */
}

/* What is light was ended by its finalizer, if that was C's: a class made of this one may have another. */
static void end_environment(PyObject *self)
{
    (void)self;
}

static void end_transaction(PyObject *self)
{
    transaction *t = fields(self);
    if (t->light.place != NULL)
        end_light_transaction(t);
}

static void end_cursor(PyObject *self)
{
    cursor *c = fields(self);
    transaction *t;
    if (c->light.place == NULL)
        return;
    t = fields(c->txn);
    if (enter(t)) {
        end_light_cursor(c);
        leave(t);
    } else { /* somebody is at work: LMDB's cursor ends with its transaction */
        unlink_light(&c->light);
        c->cursor = NULL;
    }
}

static void end_iterator(PyObject *self)
{
    (void)self;
}

#define COLLECTED(kind)                                                                                                \
    static int traverse_##kind(PyObject *self, visitproc visit, void *arg)                                             \
    {                                                                                                                  \
        return traverse(self, kind##_references, visit, arg);                                                          \
    }                                                                                                                  \
    static int clear_##kind(PyObject *self)                                                                            \
    {                                                                                                                  \
        end_##kind(self);                                                                                              \
        return clear(self, kind##_references);                                                                         \
    }                                                                                                                  \
    static void deallocate_##kind(PyObject *self)                                                                      \
    {                                                                                                                  \
        end_##kind(self);                                                                                              \
        deallocate(self, kind##_references);                                                                           \
    }

COLLECTED(environment)
COLLECTED(transaction)
COLLECTED(cursor)
COLLECTED(iterator)

void finalize_slowly(const method *method, PyObject *self)
{
    PyObject *result = PyObject_CallFunction(method->slow, "O", self);
    if (result == NULL)
        PyErr_WriteUnraisable(method->slow);
    Py_DecRef(result);
}

/* What a base class is made of. */
typedef struct kind {
    const char *name;
    size_t size;
    PyMemberDef *members;
    PyObject **made_of_it;  /* where the class made of it is remembered */
    PyMethodDef *calls;
    int (*traverse)(PyObject *, visitproc, void *);
    int (*clear)(PyObject *);
    void (*deallocate)(PyObject *);
    method *methods;        /* that become built-in ones of that class */
    PyGetSetDef *properties;
    void (*finalize)(PyObject *);
    method *finalizer;
} kind;

#define KIND(kind) kind##_calls, traverse_##kind, clear_##kind, deallocate_##kind, kind##_methods
#define LIGHT_KIND(kind) KIND(kind), kind##_properties, finalize_##kind, kind##_finalizer

static const kind KINDS[] = {
    {"lmdb_fast.Environment", sizeof(environment), environment_members, &environment_type, KIND(environment),
     NULL, NULL, NULL},
    {"lmdb_fast.Database", sizeof(database), database_members, &database_type, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL},
    {"lmdb_fast.Transaction", sizeof(transaction), transaction_members, &transaction_type, LIGHT_KIND(transaction)},
    {"lmdb_fast.Cursor", sizeof(cursor), cursor_members, &cursor_type, LIGHT_KIND(cursor)},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

static const kind ITERATOR = {
    "lmdb_fast.Iterator", sizeof(iterator), NULL, NULL, NULL, traverse_iterator, clear_iterator, deallocate_iterator,
    NULL, NULL, NULL, NULL,
};

static void add(PyType_Slot **end, int slot, void *value)
{
    if (value != NULL) {
        (*end)->slot = slot;
        (*end)++->pfunc = value;
    }
}

/* A class; of an iterator, `next` gives what comes. */
static PyObject *class_of(const kind *kind, PyObject *(*next)(PyObject *))
{
    PyType_Slot slots[10] = {{0, NULL}}, *end = slots;
    PyType_Spec spec = {kind->name, (int)(head + (Py_ssize_t)kind->size), 0, next ? 0 : Py_TPFLAGS_BASETYPE, slots};
    PyMemberDef *member;
    for (member = kind->members; member != NULL && member->name != NULL; member++)
        member->offset += head;
    if (kind->properties != NULL && !free_threaded)
        (member - WAKING_COUNT)->name = NULL;
    if (kind->traverse != NULL)
        spec.flags |= Py_TPFLAGS_HAVE_GC;
    add(&end, Py_tp_members, kind->members);
    add(&end, Py_tp_methods, kind->calls);
    add(&end, Py_tp_getset, free_threaded ? NULL : kind->properties);
    add(&end, Py_tp_traverse, (void *)kind->traverse);
    add(&end, Py_tp_clear, (void *)kind->clear);
    add(&end, Py_tp_dealloc, (void *)kind->deallocate);
    add(&end, Py_tp_finalize, (void *)kind->finalize);
    add(&end, Py_tp_iter, next ? (void *)PyObject_SelfIter : NULL);
    add(&end, Py_tp_iternext, (void *)next);
    return PyType_FromSpec(&spec);
}

/* --- what the binding calls --------------------------------------------------------------------------------------- */

static int replace(PyObject *type, method *method, PyObject *docs)
{
    const char *name = method->definition.ml_name;
    PyObject *doc = PyDict_GetItemString(docs, name), *made;
    int rc, i;
    for (i = 0; method->names[i] != NULL; i++)
        method->interned[i] = PyUnicode_InternFromString(method->names[i]);
    if (doc != NULL)
        method->definition.ml_doc = PyUnicode_AsUTF8AndSize(new_reference(doc), NULL); /* it lives on, as the method */
    if ((method->slow = PyObject_GetAttrString(type, name)) == NULL ||
        (made = PyDescr_NewMethod((PyTypeObject *)type, &method->definition)) == NULL)
        return -1;
    rc = PyObject_SetAttrString(type, name, made);
    Py_DecRef(made);
    return rc;
}

/* Take Python's finalizer out of its class, so that the base class's is called, which knows what is light. */
static int take_finalizer(PyObject *type, method *method)
{
    method->slow = PyObject_GetAttrString(type, method->definition.ml_name);
    return method->slow == NULL ? -1 : PyObject_SetAttrString(type, method->definition.ml_name, NULL);
}

static PyObject *install(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    const kind *kind = NULL;
    method *method;
    (void)self;
    if (count == 3 && (size_t)PyLong_AsLong(args[1]) < KIND_COUNT)
        kind = &KINDS[PyLong_AsLong(args[1])];
    if (kind == NULL)
        return PyErr_Occurred() ? NULL : failed("install", EINVAL);
    *kind->made_of_it = new_reference(args[0]);
    for (method = kind->methods; method != NULL && method->definition.ml_name != NULL; method++)
        if (replace(args[0], method, args[2]) != 0)
            return NULL;
    if (kind->finalizer != NULL && take_finalizer(args[0], kind->finalizer) != 0)
        return NULL;
    return new_reference(none);
}

static PyMethodDef INSTALL = {"install", (PyCFunction)(void *)install, METH_FASTCALL, NULL};

void *lmdb_fast_set_up(void *fail_of_python, void *wake_of_python, ptrdiff_t head_size, int without_gil)
{
    Py_ssize_t i;
    PyObject *all, *one;
    if (none != NULL || PyInterpreterState_GetID(PyInterpreterState_Get()) != 0)
        return Py_BuildValue("");
    none = Py_BuildValue("");
    fail = new_reference(fail_of_python);
    wake = new_reference(wake_of_python);
    yes = PyBool_FromLong(1);
    no = PyBool_FromLong(0);
    head = head_size;
    free_threaded = without_gil;
    if ((iterator_type = class_of(&ITERATOR, iterator_next)) == NULL)
        return NULL;
    all = PyTuple_New(1 + KIND_COUNT);
    for (i = 0; all != NULL && i < 1 + KIND_COUNT; i++) {
        one = i == 0 ? PyCFunction_NewEx(&INSTALL, NULL, NULL) : class_of(&KINDS[i - 1], NULL);
        if (one == NULL || PyTuple_SetItem(all, i, one) != 0) {
            Py_DecRef(all);
            all = NULL;
        }
    }
    return all;
}

int lmdb_fast_version(void)
{
    return 2;
}
