/* Transposition of frames, byte by byte or in units of two bytes, and of the bytes of values.

   A recording has its frames row by row, NWB has them column by column, and HDF5's shuffle filter
   wants the first bytes of all values first. One pass does both: a frame of values of n bytes is
   an image of bytes n times as wide, and each of its columns belongs to one plane. Values that are
   in order already, such as those of traces, are only split into planes. */

#define PY_SSIZE_T_CLEAN
#include "../_stateless.h"
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Registers of 16 bytes. ZIP1 and ZIP2 take the values of the first and of the second halves of
   two registers in turn. */
#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
typedef __m128i Register;
#define LOAD(from) _mm_loadu_si128((const __m128i *)(const void *)(from))
#define STORE(to, value) _mm_storeu_si128((__m128i *)(void *)(to), value)
#define FETCH(from) _mm_prefetch((const char *)(from), _MM_HINT_T0)
#define ZIP1_BYTES(a, b) _mm_unpacklo_epi8(a, b)
#define ZIP2_BYTES(a, b) _mm_unpackhi_epi8(a, b)
#define ZIP1_PAIRS(a, b) _mm_unpacklo_epi16(a, b)
#define ZIP2_PAIRS(a, b) _mm_unpackhi_epi16(a, b)
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__GNUC__)
#include <arm_neon.h>
typedef uint8x16_t Register;
#define LOAD(from) vld1q_u8(from)
#define STORE(to, value) vst1q_u8(to, value)
#define FETCH(from) __builtin_prefetch(from)
#define AS_PAIRS(a) vreinterpretq_u16_u8(a)
#define ZIP1_BYTES(a, b) vzip1q_u8(a, b)
#define ZIP2_BYTES(a, b) vzip2q_u8(a, b)
#define ZIP1_PAIRS(a, b) vreinterpretq_u8_u16(vzip1q_u16(AS_PAIRS(a), AS_PAIRS(b)))
#define ZIP2_PAIRS(a, b) vreinterpretq_u8_u16(vzip2q_u16(AS_PAIRS(a), AS_PAIRS(b)))
#else
#error "NumPy transposes on other processors"
#endif

enum {
    WIDTH = 16,        /* bytes of a register */
    BAND = 64,         /* rows that are read side by side; each makes whole lines of the cache */
    LINE = 64,         /* bytes of a line of the cache */
    FETCH_AHEAD = 128, /* bytes; the processor foresees no reads of so many rows */
};

/* Where the unit at a position of a row goes, for the first row: units of the same value go to
   different planes. */
typedef struct {
    uint8_t *out;
    ptrdiff_t plane; /* bytes from a plane to the next */
    ptrdiff_t rows;
    ptrdiff_t num_planes;
    ptrdiff_t unit;
} Target;

static uint8_t *column_of(const Target *target, ptrdiff_t position) {
    ptrdiff_t plane = position % target->num_planes, column = position / target->num_planes;
    return target->out + plane * target->plane + column * target->rows * target->unit;
}

/* Transpose 16 rows of 16 bytes, of which column k goes to out[k] + offset. */
static inline void square_of_bytes(
    const uint8_t *in, ptrdiff_t pitch, uint8_t *const *out, ptrdiff_t offset
) {
    Register a[16], b[16];
    int i, half;
    for (i = 0; i < 16; i++)
        a[i] = LOAD(in + i * pitch);
    for (half = 0; half < 2; half++) {
        for (i = 0; i < 8; i++) {
            b[2 * i] = ZIP1_BYTES(a[i], a[i + 8]);
            b[2 * i + 1] = ZIP2_BYTES(a[i], a[i + 8]);
        }
        for (i = 0; i < 8; i++) {
            a[2 * i] = ZIP1_BYTES(b[i], b[i + 8]);
            a[2 * i + 1] = ZIP2_BYTES(b[i], b[i + 8]);
        }
    }
    for (i = 0; i < 16; i++)
        STORE(out[i] + offset, a[i]);
}

/* Transpose 8 rows of 8 pairs of bytes. */
static inline void square_of_pairs(
    const uint8_t *in, ptrdiff_t pitch, uint8_t *const *out, ptrdiff_t offset
) {
    Register a[8], b[8];
    int i;
    for (i = 0; i < 8; i++)
        a[i] = LOAD(in + i * pitch);
    for (i = 0; i < 4; i++) {
        b[2 * i] = ZIP1_PAIRS(a[i], a[i + 4]);
        b[2 * i + 1] = ZIP2_PAIRS(a[i], a[i + 4]);
    }
    for (i = 0; i < 4; i++) {
        a[2 * i] = ZIP1_PAIRS(b[i], b[i + 4]);
        a[2 * i + 1] = ZIP2_PAIRS(b[i], b[i + 4]);
    }
    for (i = 0; i < 4; i++) {
        b[2 * i] = ZIP1_PAIRS(a[i], a[i + 4]);
        b[2 * i + 1] = ZIP2_PAIRS(a[i], a[i + 4]);
    }
    for (i = 0; i < 8; i++)
        STORE(out[i] + offset, b[i]);
}

/* Transpose a band of rows. Squares that would reach over an edge begin earlier instead, so that
   some values are written twice. */
static void transpose_band(
    const uint8_t *in, ptrdiff_t pitch, ptrdiff_t bytes, ptrdiff_t first, ptrdiff_t last,
    const Target *target
) {
    const ptrdiff_t side = WIDTH / target->unit;
    ptrdiff_t start, at, row, next, ahead;
    uint8_t *out[WIDTH];
    int i;
    for (start = 0; start < bytes; start += WIDTH) {
        at = start + WIDTH > bytes ? bytes - WIDTH : start;
        ahead = start + FETCH_AHEAD;
        if (ahead >= bytes) /* the beginning of the next band */
            ahead += BAND * pitch - bytes;
        for (i = 0; i < side; i++)
            out[i] = column_of(target, at / target->unit + i);
        for (next = first; next < last; next += side) {
            row = next + side > last ? last - side : next;
            if (!(start & (LINE - 1)))
                for (i = 0; i < side; i++)
                    FETCH(in + (row + i) * pitch + ahead);
            if (target->unit == 1)
                square_of_bytes(in + row * pitch + at, pitch, out, row);
            else
                square_of_pairs(in + row * pitch + at, pitch, out, row * target->unit);
        }
    }
}

static void transpose_one_by_one(
    const uint8_t *in, ptrdiff_t pitch, ptrdiff_t bytes, const Target *target
) {
    ptrdiff_t row, at;
    for (at = 0; at < bytes; at += target->unit) {
        uint8_t *out = column_of(target, at / target->unit);
        for (row = 0; row < target->rows; row++)
            memcpy(out + row * target->unit, in + row * pitch + at, (size_t)target->unit);
    }
}

static void transpose_frame(
    const uint8_t *in, ptrdiff_t pitch, ptrdiff_t bytes, const Target *target
) {
    ptrdiff_t first, last;
    if (bytes < WIDTH || target->rows < WIDTH) {
        transpose_one_by_one(in, pitch, bytes, target);
        return;
    }
    for (first = 0; first < target->rows; first = last) {
        last = first + BAND < target->rows ? first + BAND : target->rows;
        if (last - first < WIDTH)
            first = last - WIDTH;
        transpose_band(in, pitch, bytes, first, last, target);
    }
}

/* Put the first bytes of 16 values into the first register, their second bytes into the next.

   The position of a byte among all of them has the bits vvvvb, vvvvbb or vvvvbbb, of its value and
   of its place there. To take bytes of the first and of the second half in turn makes the first
   bit the last one, and to do so four times makes the place the first. */
static inline void split_registers(Register *a, int count) {
    Register b[8];
    int i, turn;
    for (turn = 0; turn < 4; turn++) {
        for (i = 0; i < count / 2; i++) {
            b[2 * i] = ZIP1_BYTES(a[i], a[i + count / 2]);
            b[2 * i + 1] = ZIP2_BYTES(a[i], a[i + count / 2]);
        }
        for (i = 0; i < count; i++)
            a[i] = b[i];
    }
}

static inline void split_values(
    const uint8_t *in, ptrdiff_t number, uint8_t *out, ptrdiff_t plane, int size
) {
    Register a[8];
    ptrdiff_t at;
    int i;
    for (at = 0; at + WIDTH <= number; at += WIDTH) {
        for (i = 0; i < size; i++)
            a[i] = LOAD(in + at * size + i * WIDTH);
        split_registers(a, size);
        for (i = 0; i < size; i++)
            STORE(out + i * plane + at, a[i]);
    }
    for (; at < number; at++)
        for (i = 0; i < size; i++)
            out[i * plane + at] = in[at * size + i];
}

/* Return whether consecutive entries along an axis are so many bytes apart. */
static int is_apart(const Py_buffer *array, int axis, Py_ssize_t bytes) {
    return array->shape[axis] < 2 || array->strides[axis] == bytes;
}

/* Return whether the shapes and strides of a frame, (columns, rows), and of planes, (planes,
   columns, rows), fit each other and what is done here. */
static int fit(const Py_buffer *frame, const Py_buffer *planes) {
    if (frame->ndim != 2 || planes->ndim != 3)
        return 0;
    return frame->shape[0] == planes->shape[1] && frame->shape[1] == planes->shape[2] &&
           frame->itemsize == planes->shape[0] * planes->itemsize &&
           (planes->itemsize == 1 || (planes->itemsize == 2 && planes->shape[0] == 1)) &&
           is_apart(frame, 0, frame->itemsize) && is_apart(planes, 2, planes->itemsize) &&
           is_apart(planes, 1, planes->shape[2] * planes->itemsize);
}

static PyObject *transpose_into(PyObject *module, PyObject *const *given, Py_ssize_t count) {
    Py_buffer frame, planes;
    int are_fit;
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "transpose_into takes a frame and planes");
        return NULL;
    }
    if (PyObject_GetBuffer(given[0], &frame, PyBUF_STRIDED_RO) < 0)
        return NULL;
    if (PyObject_GetBuffer(given[1], &planes, PyBUF_STRIDED) < 0) {
        PyBuffer_Release(&frame);
        return NULL;
    }
    are_fit = fit(&frame, &planes);
    if (are_fit && frame.len) {
        const Target target = {
            planes.buf, planes.strides[0], frame.shape[1], planes.shape[0], planes.itemsize,
        };
        Py_BEGIN_ALLOW_THREADS
        transpose_frame(
            frame.buf, frame.strides[1], frame.shape[0] * frame.itemsize, &target
        );
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&frame);
    PyBuffer_Release(&planes);
    if (!are_fit) {
        PyErr_SetString(PyExc_ValueError, "the frame and the planes do not fit each other");
        return NULL;
    }
    Py_RETURN_NONE;
}

enum { MOST_BYTES_AT_ONCE = 1 << 16 };

static void split_all(const Py_buffer *values, const Py_buffer *planes) {
    const ptrdiff_t number = planes->shape[1], plane = planes->strides[0];
    /* Constant sizes, so that the loops over registers vanish. */
    if (planes->shape[0] == 2)
        split_values(values->buf, number, planes->buf, plane, 2);
    else if (planes->shape[0] == 4)
        split_values(values->buf, number, planes->buf, plane, 4);
    else
        split_values(values->buf, number, planes->buf, plane, 8);
}

static PyObject *split_into(PyObject *module, PyObject *const *given, Py_ssize_t count) {
    Py_buffer values, planes;
    Py_ssize_t size;
    int are_fit;
    (void)module;
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "split_into takes values and planes");
        return NULL;
    }
    if (PyObject_GetBuffer(given[0], &values, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(given[1], &planes, PyBUF_STRIDED) < 0) {
        PyBuffer_Release(&values);
        return NULL;
    }
    are_fit = planes.ndim == 2 && planes.itemsize == 1 && is_apart(&planes, 1, 1);
    if (are_fit) {
        size = planes.shape[0];
        are_fit = (size == 2 || size == 4 || size == 8) && values.len == size * planes.shape[1];
    }
    if (are_fit) {
        /* To let other threads go on takes longer than to split few values. */
        PyThreadState *state = values.len > MOST_BYTES_AT_ONCE ? PyEval_SaveThread() : NULL;
        split_all(&values, &planes);
        if (state != NULL)
            PyEval_RestoreThread(state);
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&planes);
    if (!are_fit) {
        PyErr_SetString(PyExc_ValueError, "the values and the planes do not fit each other");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"transpose_into", (PyCFunction)(void (*)(void))transpose_into, METH_FASTCALL,
     "transpose_into(frame, planes)\n--\n\n"
     "Copy a frame that is contiguous along its columns into planes that are along their rows."},
    {"split_into", (PyCFunction)(void (*)(void))split_into, METH_FASTCALL,
     "split_into(values, planes)\n--\n\n"
     "Copy values of 2, 4 or 8 bytes, as bytes in order, into one plane for each of their bytes."},
    {NULL, NULL, 0, NULL},
};

DEFINE_MODULE(_transposition, "Transposition of frames into planes of bytes.", functions)
