/* Maxima, sums and zeros of a tile of frames in one pass.

   Four frames at a time, so that results of pixels are loaded and stored a quarter as often as
   values, and memory is read as four streams, which processors fetch ahead. */

#define PY_SSIZE_T_CLEAN
#include "../_stateless.h"
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Compiled for processors with wide registers, too; the loader takes the best. */
#if defined(__x86_64__) && defined(__GNUC__) && defined(__GLIBC__)
#define BY_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define BY_PROCESSOR
#endif

/* Four frames of so many pixels have fewer zeros than 16 bits count. Of 32,768 frames, the most that
   a caller gives, the sums of a pixel fit into 32 bits. */
enum { PART = 8192, AT_ONCE = 4, SQUARED = 1024, MOST_FRAMES = 1 << 15 };

typedef struct {
    const char *values; /* frames of pixels, which are contiguous in each frame */
    Py_ssize_t num_frames, num_pixels, frame_stride;
    void *maximum;       /* of each pixel, as values */
    void *sums;          /* of each pixel */
    int64_t *squares;    /* of each pixel */
    int64_t *frame_sums; /* of each frame */
    int64_t num_zero, lowest;
} Tile;

#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))

/* Define the functions that add a part of four frames, or of one, to the results of its pixels, and
   the one that takes a whole tile. VALUE is the type of a value, and SUM of 32 bits. */
#define DEFINE_SUMMARY(NAME, VALUE, SUM)                                                          \
    BY_PROCESSOR static void add_four_##NAME(const VALUE *const *frames, Py_ssize_t count,        \
                                             VALUE *maximum, SUM *sums, int64_t *frame_sums,      \
                                             Tile *tile) {                                        \
        const VALUE *a = frames[0], *b = frames[1], *c = frames[2], *d = frames[3];               \
        uint16_t zeros = 0;                                                                       \
        VALUE lowest = 0;                                                                         \
        SUM of_a = 0, of_b = 0, of_c = 0, of_d = 0;                                               \
        Py_ssize_t i;                                                                             \
        for (i = 0; i < count; i++) {                                                             \
            VALUE most = LARGER(LARGER(a[i], b[i]), LARGER(c[i], d[i]));                          \
            VALUE least = SMALLER(SMALLER(a[i], b[i]), SMALLER(c[i], d[i]));                      \
            maximum[i] = LARGER(maximum[i], most);                                                \
            lowest = SMALLER(lowest, least);                                                      \
            zeros = (uint16_t)(zeros + (a[i] == 0));                                              \
            zeros = (uint16_t)(zeros + (b[i] == 0));                                              \
            zeros = (uint16_t)(zeros + (c[i] == 0));                                              \
            zeros = (uint16_t)(zeros + (d[i] == 0));                                              \
            sums[i] += (SUM)a[i] + (SUM)b[i] + (SUM)c[i] + (SUM)d[i];                             \
            of_a += a[i];                                                                         \
            of_b += b[i];                                                                         \
            of_c += c[i];                                                                         \
            of_d += d[i];                                                                         \
        }                                                                                         \
        frame_sums[0] += of_a;                                                                    \
        frame_sums[1] += of_b;                                                                    \
        frame_sums[2] += of_c;                                                                    \
        frame_sums[3] += of_d;                                                                    \
        tile->num_zero += zeros;                                                                  \
        tile->lowest = SMALLER(tile->lowest, lowest);                                             \
    }                                                                                             \
                                                                                                  \
    BY_PROCESSOR static void add_one_##NAME(const VALUE *values, Py_ssize_t count, VALUE *maximum,\
                                            SUM *sums, int64_t *frame_sum, Tile *tile) {          \
        uint16_t zeros = 0;                                                                       \
        VALUE lowest = 0;                                                                         \
        SUM total = 0;                                                                            \
        Py_ssize_t i;                                                                             \
        for (i = 0; i < count; i++) {                                                             \
            maximum[i] = LARGER(maximum[i], values[i]);                                           \
            lowest = SMALLER(lowest, values[i]);                                                  \
            zeros = (uint16_t)(zeros + (values[i] == 0));                                         \
            sums[i] += values[i];                                                                 \
            total += values[i];                                                                   \
        }                                                                                         \
        *frame_sum += total;                                                                      \
        tile->num_zero += zeros;                                                                  \
        tile->lowest = SMALLER(tile->lowest, lowest);                                             \
    }                                                                                             \
                                                                                                  \
    static void summarise_##NAME(Tile *tile) {                                                    \
        const VALUE *frames[AT_ONCE];                                                             \
        VALUE *maximum = tile->maximum;                                                           \
        SUM *sums = tile->sums;                                                                   \
        Py_ssize_t frame, start, count, taken, i;                                                 \
        memcpy(maximum, tile->values, (size_t)tile->num_pixels * sizeof(VALUE));                  \
        memset(sums, 0, (size_t)tile->num_pixels * sizeof(SUM));                                  \
        for (frame = 0; frame < tile->num_frames; frame += taken) {                               \
            taken = tile->num_frames - frame < AT_ONCE ? 1 : AT_ONCE;                             \
            for (start = 0; start < tile->num_pixels; start += PART) {                            \
                count = SMALLER(PART, tile->num_pixels - start);                                  \
                for (i = 0; i < taken; i++)                                                       \
                    frames[i] = (const VALUE *)(tile->values + (frame + i) * tile->frame_stride) +\
                                start;                                                            \
                if (taken == AT_ONCE)                                                             \
                    add_four_##NAME(frames, count, maximum + start, sums + start,                 \
                                    tile->frame_sums + frame, tile);                              \
                else                                                                              \
                    add_one_##NAME(frames[0], count, maximum + start, sums + start,               \
                                   tile->frame_sums + frame, tile);                               \
            }                                                                                     \
        }                                                                                         \
    }

/* Define the functions that add values of four frames, or of one, and their squares to those of
   their pixels, and the one that takes a whole tile. Squares of 16 bits fit into 32 bits, two of them
   where the bits of BEYOND are not set, and their sums into 64. */
#define DEFINE_MOMENTS(NAME, VALUE, BEYOND)                                                       \
    BY_PROCESSOR static int square_four_##NAME(const VALUE *const *frames, Py_ssize_t count,      \
                                               int32_t *sums, uint64_t *squares) {                \
        const VALUE *a = frames[0], *b = frames[1], *c = frames[2], *d = frames[3];               \
        VALUE bits = 0;                                                                           \
        Py_ssize_t i;                                                                             \
        for (i = 0; BEYOND && i < count; i++)                                                     \
            bits = (VALUE)(bits | a[i] | b[i] | c[i] | d[i]);                                     \
        if (bits & BEYOND)                                                                        \
            return 0;                                                                             \
        for (i = 0; i < count; i++) {                                                             \
            uint32_t first = (uint32_t)(a[i] * a[i]) + (uint32_t)(b[i] * b[i]);                   \
            uint32_t last = (uint32_t)(c[i] * c[i]) + (uint32_t)(d[i] * d[i]);                    \
            sums[i] += a[i] + b[i] + c[i] + d[i];                                                 \
            squares[i] += (uint64_t)first + last;                                                 \
        }                                                                                         \
        return 1;                                                                                 \
    }                                                                                             \
                                                                                                  \
    BY_PROCESSOR static void square_one_##NAME(const VALUE *values, Py_ssize_t count,             \
                                               int32_t *sums, uint64_t *squares) {                \
        Py_ssize_t i;                                                                             \
        for (i = 0; i < count; i++) {                                                             \
            uint32_t value = (uint32_t)values[i];                                                 \
            sums[i] += values[i];                                                                 \
            squares[i] += value * value;                                                          \
        }                                                                                         \
    }                                                                                             \
                                                                                                  \
    static void moments_##NAME(Tile *tile) {                                                      \
        const VALUE *frames[AT_ONCE];                                                             \
        int32_t sums[SQUARED];                                                                    \
        uint64_t squares[SQUARED];                                                                \
        Py_ssize_t start, count, frame, taken, i;                                                 \
        for (start = 0; start < tile->num_pixels; start += SQUARED) {                             \
            count = SMALLER(SQUARED, tile->num_pixels - start);                                   \
            memset(sums, 0, sizeof sums);                                                         \
            memset(squares, 0, sizeof squares);                                                   \
            for (frame = 0; frame < tile->num_frames; frame += taken) {                           \
                taken = SMALLER(AT_ONCE, tile->num_frames - frame);                               \
                for (i = 0; i < taken; i++)                                                       \
                    frames[i] = (const VALUE *)(tile->values + (frame + i) * tile->frame_stride) +\
                                start;                                                            \
                if (taken == AT_ONCE && square_four_##NAME(frames, count, sums, squares))         \
                    continue;                                                                     \
                for (i = 0; i < taken; i++)                                                       \
                    square_one_##NAME(frames[i], count, sums, squares);                           \
            }                                                                                     \
            for (i = 0; i < count; i++) {                                                         \
                ((int64_t *)tile->sums)[start + i] += sums[i];                                    \
                tile->squares[start + i] += (int64_t)squares[i];                                  \
            }                                                                                     \
        }                                                                                         \
    }

#define DEFINE_ALL(NAME, VALUE, SUM, BEYOND)                                                      \
    DEFINE_SUMMARY(NAME, VALUE, SUM) DEFINE_MOMENTS(NAME, VALUE, BEYOND)

DEFINE_ALL(u8, uint8_t, uint32_t, 0)
DEFINE_ALL(i8, int8_t, int32_t, 0)
DEFINE_ALL(u16, uint16_t, uint32_t, 0x8000)
DEFINE_ALL(i16, int16_t, int32_t, 0)

typedef void (*Run)(Tile *);

/* The functions of each type, by the letter that NumPy and struct give it. */
static const struct {
    char letter;
    Run summarise, moments;
} types[] = {
    {'B', summarise_u8, moments_u8},
    {'b', summarise_i8, moments_i8},
    {'H', summarise_u16, moments_u16},
    {'h', summarise_i16, moments_i16},
};

enum { NUM_TYPES = sizeof types / sizeof *types, MOST_GIVEN = 4 };

/* The arrays of a call: the tile, and what is filled in. */
typedef struct {
    Py_buffer buffers[MOST_GIVEN];
    int count;
} Given;

static void release(Given *given) {
    while (given->count > 0)
        PyBuffer_Release(&given->buffers[--given->count]);
}

/* Take the arrays of a call; return whether all are given, or leave an error. */
static int take(PyObject *arguments, int wanted, Given *given) {
    given->count = 0;
    if (PyTuple_GET_SIZE(arguments) != wanted) {
        PyErr_Format(PyExc_TypeError, "%d arrays are needed", wanted);
        return 0;
    }
    while (given->count < wanted) {
        int flags = given->count ? PyBUF_STRIDED : PyBUF_STRIDED_RO | PyBUF_FORMAT;
        PyObject *object = PyTuple_GET_ITEM(arguments, given->count);
        if (PyObject_GetBuffer(object, &given->buffers[given->count], flags) < 0) {
            release(given);
            return 0;
        }
        given->count++;
    }
    return 1;
}

static int is_contiguous(const Py_buffer *buffer, int size, Py_ssize_t count) {
    return buffer->ndim == 1 && buffer->itemsize == size && buffer->shape[0] == count &&
           (count < 2 || buffer->strides[0] == size);
}

/* Describe a tile; return the index of its type, or -1 where it cannot be taken. */
static int describe(const Py_buffer *values, Tile *tile) {
    int type;
    if (values->ndim != 2 || values->shape[0] < 1 || values->shape[0] > MOST_FRAMES)
        return -1;
    /* The stride along an axis of one pixel says nothing. */
    if (values->shape[1] > 1 && values->strides[1] != values->itemsize)
        return -1;
    tile->values = values->buf;
    tile->num_frames = values->shape[0];
    tile->num_pixels = values->shape[1];
    tile->frame_stride = values->strides[0];
    tile->num_zero = tile->lowest = 0;
    for (type = 0; type < NUM_TYPES; type++)
        if (values->format && values->format[0] == types[type].letter && !values->format[1])
            return type;
    return -1;
}

/* Run a function on a tile, or none; release the arrays and return whether it ran. */
static int finish(Run run, Tile *tile, Given *given) {
    if (run) {
        Py_BEGIN_ALLOW_THREADS
        run(tile);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_SetString(PyExc_ValueError,
                        "a tile has up to 32,768 frames of contiguous integers of 8 or 16 bits, "
                        "and arrays for its results of their types and lengths");
    }
    release(given);
    return run != NULL;
}

static PyObject *summarise(PyObject *module, PyObject *arguments) {
    Given given;
    Tile tile;
    int type;
    (void)module;
    if (!take(arguments, 4, &given))
        return NULL;
    type = describe(&given.buffers[0], &tile);
    if (type >= 0 &&
        !(is_contiguous(&given.buffers[1], (int)given.buffers[0].itemsize, tile.num_pixels) &&
          is_contiguous(&given.buffers[2], sizeof(int32_t), tile.num_pixels) &&
          is_contiguous(&given.buffers[3], sizeof(int64_t), tile.num_frames)))
        type = -1;
    tile.maximum = given.buffers[1].buf;
    tile.sums = given.buffers[2].buf;
    tile.frame_sums = given.buffers[3].buf;
    if (!finish(type < 0 ? NULL : types[type].summarise, &tile, &given))
        return NULL;
    return Py_BuildValue("LL", (long long)tile.num_zero, (long long)tile.lowest);
}

static PyObject *moments(PyObject *module, PyObject *arguments) {
    Given given;
    Tile tile;
    int type;
    (void)module;
    if (!take(arguments, 3, &given))
        return NULL;
    type = describe(&given.buffers[0], &tile);
    if (type >= 0 && !(is_contiguous(&given.buffers[1], sizeof(int64_t), tile.num_pixels) &&
                       is_contiguous(&given.buffers[2], sizeof(int64_t), tile.num_pixels)))
        type = -1;
    tile.sums = given.buffers[1].buf;
    tile.squares = given.buffers[2].buf;
    if (!finish(type < 0 ? NULL : types[type].moments, &tile, &given))
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"summarise", summarise, METH_VARARGS,
     "summarise(tile, maximum, sums, frame_sums)\n--\n\n"
     "Fill in the results of a tile, add to the sums of frames, and return the number of zeros and "
     "the lowest value below zero."},
    {"moments", moments, METH_VARARGS,
     "moments(tile, sums, squares)\n--\n\n"
     "Add the values of each pixel to its sum, and their squares to that of squares."},
    {NULL, NULL, 0, NULL},
};

DEFINE_MODULE(_tile_sums, "Sums of tiles of frames.", functions)
