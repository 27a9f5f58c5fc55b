/* BLAKE3 of many short values at once, each in a lane of a wide register.
 *
 * The official implementation is wide within one long input; rows, claims and leaves are a few
 * blocks of 64 bytes each, which it can only compress one after another. Here eight values are
 * compressed side by side, and a lane whose value ends goes on with the next one. Values of at most
 * one chunk (1,024 bytes) have no tree above them, which is all that is implemented.
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

/* Values one after another: the one numbered i is from ends[i] to ends[i + 1]. */
typedef struct {
    const uint8_t *data;
    const int64_t *ends;
    Py_ssize_t count;
    Py_ssize_t next; /* the first that no lane has taken */
} values;

typedef struct {
    const uint8_t *at;
    size_t left;
    uint8_t *digest; /* NULL: the lane is idle */
    uint32_t start;  /* CHUNK_START, before the first block */
} lane;

/* The next value of at most a chunk; idle where there is none. */
static lane taken(values *from, uint8_t *digests)
{
    while (from->next < from->count) {
        Py_ssize_t i = from->next++;
        size_t size = (size_t)(from->ends[i + 1] - from->ends[i]);
        if (size <= CHUNK)
            return (lane){from->data + from->ends[i], size, digests + DIGEST * i, CHUNK_START};
    }
    return (lane){from->data, 0, NULL, 0};
}

#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define MIX(a, b, c, d, x, y) \
    do { \
        a += b + (x); d = ROTATED(d ^ a, 16); c += d; b = ROTATED(b ^ c, 12); \
        a += b + (y); d = ROTATED(d ^ a, 8); c += d; b = ROTATED(b ^ c, 7); \
    } while (0)

/* Where the loader can choose by what the processor has, it does: 1.6 and 2 times as fast. */
#if defined(__x86_64__) && defined(__GLIBC__)
__attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#endif
static void hash_values(values from, const uint32_t key[KEY_WORDS], uint32_t mode,
                        uint8_t *digests)
{
    lane each[LANES];
    lanes state[KEY_WORDS], words[WORDS];
    int busy = 0;

    for (int l = 0; l < LANES; l++) {
        each[l] = taken(&from, digests);
        busy += each[l].digest != NULL;
        for (int i = 0; i < KEY_WORDS; i++)
            state[i][l] = key[i];
    }
    while (busy) {
        const lanes zero = {0};
        lanes sizes, flags;

        for (int l = 0; l < LANES; l++) {
            uint8_t last[BLOCK];
            const uint8_t *block = each[l].at;
            size_t size = each[l].left < BLOCK ? each[l].left : BLOCK;
            if (size < BLOCK) {
                memset(last, 0, BLOCK);
                block = memcpy(last, block, size);
            }
            for (int i = 0; i < WORDS; i++) {
                uint32_t word;
                memcpy(&word, block + 4 * i, 4);
                words[i][l] = word;
            }
            sizes[l] = (uint32_t)size;
            flags[l] = mode | each[l].start | (each[l].left <= BLOCK ? CHUNK_END | ROOT : 0);
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
                each[l].start = 0;
                continue;
            }
            if (each[l].digest == NULL)
                continue;
            for (int i = 0; i < KEY_WORDS; i++) {
                uint32_t word = state[i][l];
                memcpy(each[l].digest + 4 * i, &word, 4);
            }
            each[l] = taken(&from, digests);
            busy -= each[l].digest == NULL;
            for (int i = 0; i < KEY_WORDS; i++)
                state[i][l] = key[i];
        }
    }
}

/* The key of a context (paper, section 2.3): the hash of its text in a mode of its own. */
static void derive_key(const uint8_t *context, Py_ssize_t size, uint32_t key[KEY_WORDS])
{
    const int64_t ends[2] = {0, size};
    hash_values((values){context, ends, 1, 0}, IV, DERIVE_KEY_CONTEXT, (uint8_t *)key);
}

/* Whether every value lies within `size` bytes of data. */
static int lie_within(const values *from, Py_ssize_t size)
{
    if (from->ends[0] < 0 || from->ends[from->count] > size)
        return 0;
    for (Py_ssize_t i = 0; i < from->count; i++)
        if (from->ends[i] > from->ends[i + 1])
            return 0;
    return 1;
}

static PyObject *hash_short(PyObject *module, PyObject *args)
{
    Py_buffer data, ends, context;
    PyObject *made = NULL;
    (void)module;

    if (!PyArg_ParseTuple(args, "y*y*y*:hash_short", &data, &ends, &context))
        return NULL;
    /* Arrow's empty buffers may be at no address. */
    const uint8_t *bytes = data.buf != NULL ? data.buf : (const uint8_t *)"";
    values from = {bytes, ends.buf, ends.len / (Py_ssize_t)sizeof(int64_t) - 1, 0};
    if (ends.len % sizeof(int64_t) || (uintptr_t)ends.buf % sizeof(int64_t) || from.count < 0
        || context.len > CHUNK || !lie_within(&from, data.len)) {
        PyErr_SetString(PyExc_ValueError, "these are not the ends of values within the data");
        goto done;
    }
    made = PyByteArray_FromStringAndSize(NULL, DIGEST * from.count);
    if (made == NULL)
        goto done;
    uint8_t *digests = (uint8_t *)PyByteArray_AsString(made);
    Py_BEGIN_ALLOW_THREADS
    memset(digests, 0, (size_t)(DIGEST * from.count));
    if (context.len) {
        uint32_t key[KEY_WORDS];
        derive_key(context.buf, context.len, key);
        hash_values(from, key, DERIVE_KEY_MATERIAL, digests);
    } else {
        hash_values(from, IV, 0, digests);
    }
    Py_END_ALLOW_THREADS
done:
    PyBuffer_Release(&data);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&context);
    return made;
}

static PyMethodDef methods[] = {
    {"hash_short", hash_short, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "provreg.core.lanes", .m_methods = methods,
};

PyMODINIT_FUNC PyInit_lanes(void)
{
    return PyModuleDef_Init(&module);
}
