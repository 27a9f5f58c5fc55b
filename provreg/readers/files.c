/* The stats of many files in one folder, and small files with theirs.
 *
 * Python makes an object of twenty numbers for each stat, of which five are wanted; that takes as
 * long as asking the system.
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

/* A row of `readers.stats.STAT`. */
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

static PyMethodDef methods[] = {
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
