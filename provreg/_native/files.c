/* The stats of many files in one folder, and small files with theirs.
 *
 * Python makes an object of twenty numbers for each stat, of which five are wanted; that takes as
 * long as asking the system. And the numbers of Thrift structs, in which Parquet says where its pages
 * are and what they unfold to.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

/* A row of `readers.files.stats.STAT`. */
typedef struct {
    uint64_t device, inode, size;
    int64_t modified, changed;
} row;

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static row row_of(const struct stat *found)
{
    return (row){(uint64_t)found->st_dev, (uint64_t)found->st_ino, (uint64_t)found->st_size,
                 nanoseconds(found->st_mtim), nanoseconds(found->st_ctim)};
}

/* fstats(folder, names): names, each of which ends with a zero, to rows. */
static PyObject *fstats(PyObject *module, PyObject *args)
{
    int folder;
    Py_buffer names;
    PyObject *made = NULL;
    (void)module;

    if (!PyArg_ParseTuple(args, "iy*:fstats", &folder, &names))
        return NULL;
    const char *name = names.buf, *end = name + names.len;
    Py_ssize_t count = 0;
    for (const char *at = name; at < end; at++)
        count += *at == 0;
    if (names.len && end[-1] != 0) {
        PyErr_SetString(PyExc_ValueError, "the last name does not end");
        goto done;
    }
    made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sizeof(row) * count);
    if (made == NULL)
        goto done;
    char *out = PyBytes_AsString(made);
    Py_BEGIN_ALLOW_THREADS
    for (; name < end; name += strlen(name) + 1, out += sizeof(row)) {
        /* All zero for what is gone, and for what is no regular file. */
        row one = {0};
        struct stat found;
        if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode))
            one = row_of(&found);
        memcpy(out, &one, sizeof(row));
    }
    Py_END_ALLOW_THREADS
done:
    PyBuffer_Release(&names);
    return made;
}

/* How much was read of a file, which is then all of it, or -1. */
static ssize_t read_whole(int file, char *buffer, size_t room, row *found)
{
    struct stat before, after;
    if (fstat(file, &before) != 0 || !S_ISREG(before.st_mode) || (size_t)before.st_size >= room)
        return -1;
    size_t size = 0;
    ssize_t got;
    /* Asked for more than there should be: a file that grows is seen to. */
    do {
        got = read(file, buffer + size, room - size);
        if (got < 0)
            return -1;
        size += (size_t)got;
    } while (got > 0 && size < (size_t)before.st_size);
    if (fstat(file, &after) != 0)
        return -1;
    row first = row_of(&before);
    *found = row_of(&after);
    int same = size == found->size && first.size == found->size
        && first.modified == found->modified && first.changed == found->changed;
    return same ? (ssize_t)size : -1;
}

/* read_small(folder, name, flags, buffer) */
static PyObject *read_small(PyObject *module, PyObject *args)
{
    int folder, flags;
    PyObject *name;
    Py_buffer buffer;
    row found;
    ssize_t size = -1;
    (void)module;

    if (!PyArg_ParseTuple(args, "iO&iw*:read_small", &folder, PyUnicode_FSConverter, &name, &flags,
                          &buffer))
        return NULL;
    const char *written = PyBytes_AsString(name);
    Py_BEGIN_ALLOW_THREADS
    int file = openat(folder, written, flags);
    if (file >= 0) {
        size = read_whole(file, buffer.buf, (size_t)buffer.len, &found);
        close(file);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffer);
    Py_DECREF(name);
    if (size < 0)
        Py_RETURN_NONE;
    return Py_BuildValue("ny#", (Py_ssize_t)size, (char *)&found, (Py_ssize_t)sizeof(row));
}

/* What is left of a Thrift struct in the compact protocol, and the integers found so far. */
typedef struct {
    const uint8_t *at, *end;
    int64_t *found; /* pairs of a path and a value */
    size_t count, room;
} walk;

enum { DEEPEST = 8 }; /* so many field numbers of a byte are a path */

static int varint(walk *walk, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (walk->at == walk->end)
            return -1;
        uint8_t byte = *walk->at++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return 0;
    }
    return -1;
}

static int noted(walk *walk, uint64_t path, int64_t value)
{
    if (walk->count == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 64;
        int64_t *found = PyMem_Realloc(walk->found, room * 2 * sizeof(int64_t));
        if (found == NULL)
            return -1;
        walk->found = found;
        walk->room = room;
    }
    walk->found[2 * walk->count] = (int64_t)path;
    walk->found[2 * walk->count++ + 1] = value;
    return 0;
}

static int walk_struct(walk *walk, uint64_t path, int depth);

static int walk_value(walk *walk, int kind, uint64_t path, int depth)
{
    uint64_t size;
    switch (kind) {
    case 1: /* in lists a truth value takes a byte */
    case 2:
        return walk->at == walk->end ? -1 : noted(walk, path, *walk->at++ == 1);
    case 3:
        return walk->at == walk->end ? -1 : noted(walk, path, (int8_t)*walk->at++);
    case 4:
    case 5:
    case 6:
        if (varint(walk, &size) != 0)
            return -1;
        return noted(walk, path, (int64_t)(size >> 1 ^ -(size & 1)));
    case 7:
        size = 8;
        break;
    case 8:
        if (varint(walk, &size) != 0)
            return -1;
        break;
    case 9:
    case 10:
        if (walk->at == walk->end || depth == DEEPEST)
            return -1;
        kind = *walk->at & 15;
        size = *walk->at++ >> 4;
        if (size == 15 && varint(walk, &size) != 0)
            return -1;
        while (size--) /* each takes a byte or more */
            if (walk_value(walk, kind, path, depth + 1) != 0)
                return -1;
        return 0;
    case 12:
        return walk_struct(walk, path, depth + 1);
    default:
        return -1;
    }
    if (size > (uint64_t)(walk->end - walk->at))
        return -1;
    walk->at += size;
    return 0;
}

static int walk_struct(walk *walk, uint64_t path, int depth)
{
    int64_t number = 0;
    if (depth > DEEPEST)
        return -1;
    while (walk->at < walk->end) {
        uint8_t head = *walk->at++;
        uint64_t said;
        int64_t before = number;
        int kind = head & 15;
        if (head == 0)
            return 0;
        if (head >> 4)
            number += head >> 4;
        else if (varint(walk, &said) != 0)
            return -1;
        else
            number = (int64_t)(said >> 1 ^ -(said & 1));
        if (number <= before || number > INT16_MAX)
            return -1;
        uint64_t below = path << 8 | (uint64_t)(number < 255 ? number : 255);
        if (kind == 1 || kind == 2 ? noted(walk, below, kind == 1)
                                   : walk_value(walk, kind, below, depth))
            return -1;
    }
    return -1;
}

/* integers(data, at): the integers of the struct at a place, and where it ends. */
static PyObject *integers(PyObject *module, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t at;
    PyObject *made = NULL;
    (void)module;

    if (!PyArg_ParseTuple(args, "y*n:integers", &data, &at))
        return NULL;
    walk walk = {.end = (const uint8_t *)data.buf + data.len};
    if (at >= 0 && at <= data.len) {
        walk.at = (const uint8_t *)data.buf + at;
        if (walk_struct(&walk, 0, 1) == 0)
            made = Py_BuildValue("y#n", (const char *)walk.found,
                                 (Py_ssize_t)(walk.count * 2 * sizeof(int64_t)),
                                 (Py_ssize_t)(walk.at - (const uint8_t *)data.buf));
    }
    if (made == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "no Thrift struct");
    PyMem_Free(walk.found);
    PyBuffer_Release(&data);
    return made;
}

/* longest(data, most): the length of the longest of the first texts, each behind its own length. */
static PyObject *longest(PyObject *module, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t most;
    (void)module;

    if (!PyArg_ParseTuple(args, "y*n:longest", &data, &most))
        return NULL;
    const uint8_t *at = data.buf, *end = at + data.len;
    uint32_t found = 0;
    for (; most > 0 && end - at >= 4; most--) {
        uint32_t length = at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
        at += 4;
        if (length > (size_t)(end - at))
            break;
        at += length;
        found = length > found ? length : found;
    }
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(found);
}

static PyMethodDef methods[] = {
    {"longest", longest, METH_VARARGS, NULL},
    {"integers", integers, METH_VARARGS, NULL},
    {"read_small", read_small, METH_VARARGS, NULL},
    {"fstats", fstats, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "provreg.readers.files", .m_methods = methods,
};

PyMODINIT_FUNC PyInit_files(void)
{
    return PyModuleDef_Init(&module);
}
