/* BLAKE3 of many short rows at once, each in a lane of a wide register.
 *
 * The official implementation is wide within one long input; rows, claims and leaves are a few
 * blocks of 64 bytes each, which it can only compress one after another. Here eight are compressed
 * side by side, and a lane whose row ends goes on with the next one. Rows of at most one chunk
 * (1,024 bytes) have no tree above them, which is all that is implemented. A lane puts its row
 * together from pieces of columns, so that rows are never written elsewhere.
 *
 * Algorithm: the BLAKE3 paper, section 2 (https://github.com/BLAKE3-team/BLAKE3-specs).
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if !defined(__GNUC__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "needs the vectors of GCC or Clang, and a little-endian machine"
#endif

/* Eight fill the registers of AVX2, and are pairs of those of SSE and NEON. */
enum { LANES = 8 };
enum { BLOCK = 64, CHUNK = 1024, DIGEST = 32, KEY_WORDS = 8, WORDS = 16, ROUNDS = 7 };
enum {
    CHUNK_START = 1 << 0,
    CHUNK_END = 1 << 1,
    ROOT = 1 << 3,
    DERIVE_KEY_CONTEXT = 1 << 5,
    DERIVE_KEY_MATERIAL = 1 << 6,
};

typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));

static const uint32_t IV[KEY_WORDS] = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
};

/* The words of the message in the order in which each round takes them: permuted once more. */
static const uint8_t ORDER[ROUNDS][WORDS] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* What stands in each row: bytes between two ends, or where there are none `width` of them. */
typedef struct {
    Py_buffer data, ends;
    int64_t width, step; /* the step to the next row is 0 where all rows have the same bytes */
} piece;

typedef struct {
    const piece *pieces;
    Py_ssize_t count, rows, next; /* the next row that no lane has taken */
    uint8_t *digests;
    int64_t *sizes;
} table;

typedef struct {
    uint8_t bytes[CHUNK]; /* a row, and zeros up to the end of its last block */
    size_t at, left;
    uint8_t *digest; /* NULL: the lane is idle */
} lane;

static void take_row(table *from, lane *into)
{
    into->at = into->left = 0;
    into->digest = NULL;
    while (into->digest == NULL && from->next < from->rows) {
        Py_ssize_t row = from->next++;
        size_t size = 0;
        for (const piece *each = from->pieces; each < from->pieces + from->count; each++) {
            int64_t start = each->step * row, width = each->width;
            if (each->ends.obj != NULL) {
                const int64_t *ends = each->ends.buf;
                start = ends[row];
                width = ends[row + 1] - start;
            }
            if (width && size + (size_t)width <= CHUNK)
                memcpy(into->bytes + size, (const uint8_t *)each->data.buf + start, (size_t)width);
            size += (size_t)width;
        }
        from->sizes[row] = (int64_t)size;
        if (size <= CHUNK) {
            into->left = size;
            into->digest = from->digests + DIGEST * row;
        }
    }
    size_t end = into->left ? (into->left + BLOCK - 1) / BLOCK * BLOCK : BLOCK;
    memset(into->bytes + into->left, 0, end - into->left);
}

#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define MIX(a, b, c, d, x, y) \
    do { \
        a += b + (x); d = ROTATED(d ^ a, 16); c += d; b = ROTATED(b ^ c, 12); \
        a += b + (y); d = ROTATED(d ^ a, 8); c += d; b = ROTATED(b ^ c, 7); \
    } while (0)

/* Where the loader can choose by what the processor has, it does: 1.6 and 2 times as fast. Earlier
 * compilers do not know these names. */
#if defined(__clang__)
#define KNOWS_LEVELS (__clang_major__ >= 16)
#else
#define KNOWS_LEVELS (__GNUC__ >= 12)
#endif
#if defined(__x86_64__) && defined(__GLIBC__) && KNOWS_LEVELS
__attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#endif
static void hash_table(table from, const uint32_t key[KEY_WORDS], uint32_t mode)
{
    lane each[LANES];
    lanes state[KEY_WORDS], words[WORDS];
    int busy = 0;

    for (int l = 0; l < LANES; l++) {
        take_row(&from, &each[l]);
        busy += each[l].digest != NULL;
        for (int i = 0; i < KEY_WORDS; i++)
            state[i][l] = key[i];
    }
    while (busy) {
        const lanes zero = {0};
        lanes sizes, flags;

        for (int l = 0; l < LANES; l++) {
            for (int i = 0; i < WORDS; i++) {
                uint32_t word;
                memcpy(&word, each[l].bytes + each[l].at + 4 * i, 4);
                words[i][l] = word;
            }
            int last = each[l].left <= BLOCK;
            sizes[l] = last ? (uint32_t)each[l].left : BLOCK;
            flags[l] = mode | (each[l].at ? 0 : CHUNK_START) | (last ? CHUNK_END | ROOT : 0);
        }

        lanes a0 = state[0], a1 = state[1], a2 = state[2], a3 = state[3];
        lanes b0 = state[4], b1 = state[5], b2 = state[6], b3 = state[7];
        lanes c0 = zero + IV[0], c1 = zero + IV[1], c2 = zero + IV[2], c3 = zero + IV[3];
        lanes d0 = zero, d1 = zero, d2 = sizes, d3 = flags; /* the chunk's number is 0 */
#pragma GCC unroll 7
        for (int round = 0; round < ROUNDS; round++) {
            const uint8_t *order = ORDER[round];
            MIX(a0, b0, c0, d0, words[order[0]], words[order[1]]);
            MIX(a1, b1, c1, d1, words[order[2]], words[order[3]]);
            MIX(a2, b2, c2, d2, words[order[4]], words[order[5]]);
            MIX(a3, b3, c3, d3, words[order[6]], words[order[7]]);
            MIX(a0, b1, c2, d3, words[order[8]], words[order[9]]);
            MIX(a1, b2, c3, d0, words[order[10]], words[order[11]]);
            MIX(a2, b3, c0, d1, words[order[12]], words[order[13]]);
            MIX(a3, b0, c1, d2, words[order[14]], words[order[15]]);
        }
        state[0] = a0 ^ c0; state[1] = a1 ^ c1; state[2] = a2 ^ c2; state[3] = a3 ^ c3;
        state[4] = b0 ^ d0; state[5] = b1 ^ d1; state[6] = b2 ^ d2; state[7] = b3 ^ d3;

        for (int l = 0; l < LANES; l++) {
            if (each[l].left > BLOCK) {
                each[l].at += BLOCK;
                each[l].left -= BLOCK;
                continue;
            }
            if (each[l].digest == NULL)
                continue;
            for (int i = 0; i < KEY_WORDS; i++) {
                uint32_t word = state[i][l];
                memcpy(each[l].digest + 4 * i, &word, 4);
            }
            take_row(&from, &each[l]);
            busy -= each[l].digest == NULL;
            for (int i = 0; i < KEY_WORDS; i++)
                state[i][l] = key[i];
        }
    }
}

/* The key of a context (paper, section 2.3): the hash of its text in a mode of its own. */
static void derive_key(const Py_buffer *context, uint32_t key[KEY_WORDS])
{
    const piece only = {.data = *context, .width = context->len};
    int64_t size;
    hash_table((table){&only, 1, 1, 0, (uint8_t *)key, &size}, IV, DERIVE_KEY_CONTEXT);
}

static void release(piece *pieces, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyBuffer_Release(&pieces[i].data);
        if (pieces[i].ends.obj != NULL)
            PyBuffer_Release(&pieces[i].ends);
    }
    PyMem_Free(pieces);
}

/* Whether every row has its bytes of a piece within the piece's data. */
static int lies_within(const piece *given, Py_ssize_t rows)
{
    if (given->ends.obj == NULL)
        return given->width >= 0
               && (given->step == 0 || given->data.len / given->step >= rows);
    const int64_t *ends = given->ends.buf;
    if ((uintptr_t)ends % sizeof *ends
        || given->ends.len / (Py_ssize_t)sizeof *ends <= rows
        || ends[0] < 0 || ends[rows] > given->data.len)
        return 0;
    for (Py_ssize_t row = 0; row < rows; row++)
        if (ends[row] > ends[row + 1])
            return 0;
    return 1;
}

/* Makes the piece that (data, ends or width) describes; -1 and an exception if it is none. */
static int make_piece(piece *made, PyObject *described, Py_ssize_t rows)
{
    PyObject *shape;
    memset(made, 0, sizeof *made);
    if (!PyTuple_Check(described)) {
        PyErr_SetString(PyExc_TypeError, "a piece is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(described, "y*O:hash_short", &made->data, &shape))
        return -1;
    if (PyLong_Check(shape)) {
        made->width = PyLong_AsLongLong(shape);
        made->step = made->data.len == made->width ? 0 : made->width;
    } else {
        PyObject_GetBuffer(shape, &made->ends, PyBUF_SIMPLE);
    }
    if (!PyErr_Occurred() && !lies_within(made, rows))
        PyErr_SetString(PyExc_ValueError, "a piece is not within its data");
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *hash_short(PyObject *module, PyObject *args)
{
    PyObject *described, *digests = NULL, *sizes = NULL, *made = NULL;
    Py_ssize_t rows, count = 0;
    Py_buffer context;
    (void)module;

    if (!PyArg_ParseTuple(args, "O!ny*:hash_short", &PyTuple_Type, &described, &rows, &context))
        return NULL;
    piece *pieces = PyMem_Calloc((size_t)PyTuple_Size(described) + 1, sizeof *pieces);
    if (pieces == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (rows < 0 || rows > INT32_MAX || context.len > CHUNK) {
        PyErr_SetString(PyExc_ValueError, "these are too many rows, or the context is too long");
        goto done;
    }
    while (count < PyTuple_Size(described)) {
        PyObject *next = PyTuple_GetItem(described, count);
        if (make_piece(&pieces[count++], next, rows) < 0)
            goto done;
    }
    digests = PyByteArray_FromStringAndSize(NULL, DIGEST * rows);
    sizes = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)sizeof(int64_t) * rows);
    if (digests == NULL || sizes == NULL)
        goto done;
    table all = {pieces, count, rows, 0, (uint8_t *)PyByteArray_AsString(digests),
                 (int64_t *)PyByteArray_AsString(sizes)};
    Py_BEGIN_ALLOW_THREADS
    memset(all.digests, 0, (size_t)(DIGEST * rows));
    if (context.len) {
        uint32_t key[KEY_WORDS];
        derive_key(&context, key);
        hash_table(all, key, DERIVE_KEY_MATERIAL);
    } else {
        hash_table(all, IV, 0);
    }
    Py_END_ALLOW_THREADS
    made = PyTuple_Pack(2, digests, sizes);
done:
    Py_XDECREF(digests);
    Py_XDECREF(sizes);
    if (pieces != NULL)
        release(pieces, count);
    PyBuffer_Release(&context);
    return made;
}

static PyMethodDef methods[] = {
    {"hash_short", hash_short, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "provreg._native.lanes", .m_methods = methods,
};

PyMODINIT_FUNC PyInit_lanes(void)
{
    return PyModuleDef_Init(&module);
}
