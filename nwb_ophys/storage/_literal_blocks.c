/* Deflate blocks without matches: every byte is a literal of a Huffman code (RFC 1951, 3.2.7).

   Noise has no repeats worth naming, so that an encoder that searches for them only loses time.
   Each block has a code of its own, made from how often each byte is in it. */

#define PY_SSIZE_T_CLEAN
#include "../_stateless.h"
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bits are put into words of little-endian machines"
#endif

/* Compiled for processors with and without shifts by any register, which save a sixth. */
#if defined(__x86_64__) && defined(__GNUC__) && defined(__GLIBC__)
#define BY_PROCESSOR __attribute__((target_clones("bmi2", "default")))
#else
#define BY_PROCESSOR
#endif

enum {
    BLOCK_BYTES = 1 << 15, /* brightness changes over a field, and a code costs 80 bytes */
    NUM_SYMBOLS = 257,     /* all bytes, and the end of the block */
    END_OF_BLOCK = 256,
    LONGEST_CODE = 11, /* five codes and seven bits left over fit into a word of 64 bits */
    NUM_LENGTHS = 19,  /* the alphabet in which the lengths of codes are written */
    LONGEST_LENGTH_CODE = 7,
    MOST_HEADER_BYTES = 512,
    LENGTH_BITS = 6, /* low bits of an entry of a table, which a shift takes as they are */
};

/* Bits that wait for a whole byte, and where the next one goes. */
typedef struct {
    uint64_t waiting;
    unsigned count;
    uint8_t *next;
} Bits;

static void put(Bits *bits, uint32_t value, unsigned length) {
    unsigned whole;
    bits->waiting |= (uint64_t)value << bits->count;
    bits->count += length;
    memcpy(bits->next, &bits->waiting, sizeof bits->waiting);
    whole = bits->count >> 3;
    bits->next += whole;
    bits->waiting >>= whole * 8;
    bits->count &= 7;
}

/* Eight tables, since equal bytes after each other would wait for the same counter. */
static void count_bytes(const uint8_t *data, size_t size, uint32_t *counts) {
    uint32_t tables[8][256];
    uint64_t word;
    size_t i = 0;
    int table;
    memset(tables, 0, sizeof tables);
    for (; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        for (table = 0; table < 8; table++)
            tables[table][word >> 8 * table & 255]++;
    }
    for (; i < size; i++)
        tables[0][data[i]]++;
    for (i = 0; i < 256; i++)
        for (counts[i] = 0, table = 0; table < 8; table++)
            counts[i] += tables[table][i];
}

/* Sort numbers in ascending order (Shell, 1959; gaps by Ciura, 2001). */
static void sort(uint32_t *values, int count) {
    static const int gaps[] = {132, 57, 23, 10, 4, 1};
    int g, i, j;
    for (g = 0; g < 6; g++)
        for (i = gaps[g]; i < count; i++) {
            uint32_t value = values[i];
            for (j = i; j >= gaps[g] && values[j - gaps[g]] > value; j -= gaps[g])
                values[j] = values[j - gaps[g]];
            values[j] = value;
        }
}

/* Count the codes of each length of a Huffman tree, whose leaves are sorted by weight, of which
   there are at least two. Inner nodes are made in the order of their weights. */
static void count_lengths(const uint32_t *leaves, int count, int longest, int *of_length) {
    uint32_t weights[2 * NUM_SYMBOLS];
    int parents[2 * NUM_SYMBOLS], depths[2 * NUM_SYMBOLS];
    int leaf = 0, node = count, made, i, side;
    memcpy(weights, leaves, (size_t)count * sizeof *leaves);
    for (made = count; made < 2 * count - 1; made++) {
        weights[made] = 0;
        for (side = 0; side < 2; side++) {
            int is_leaf = leaf < count && (node >= made || weights[leaf] <= weights[node]);
            int child = is_leaf ? leaf++ : node++;
            weights[made] += weights[child];
            parents[child] = made;
        }
    }
    memset(of_length, 0, (size_t)(longest + 1) * sizeof *of_length);
    depths[2 * count - 2] = 0;
    for (i = 2 * count - 3; i >= 0; i--) {
        depths[i] = depths[parents[i]] + 1;
        if (i < count)
            of_length[depths[i] < longest ? depths[i] : longest]++;
    }
}

/* Make a complete code of lengths that were cut to the longest: the shares of all codes in the
   space of codes, 2^-length each, must add up to one. */
static void complete(int *of_length, int longest) {
    const int32_t whole = (int32_t)1 << longest;
    int32_t used = 0;
    int length;
    for (length = 1; length <= longest; length++)
        used += of_length[length] * ((int32_t)1 << (longest - length));
    while (used > whole) { /* lengthen the longest code that can be */
        for (length = longest - 1; !of_length[length]; length--)
            ;
        of_length[length]--;
        of_length[length + 1]++;
        used -= (int32_t)1 << (longest - length - 1);
    }
    while (used < whole) { /* shorten the shortest code that fits into what is free */
        for (length = longest; length > 1; length--)
            if (of_length[length] && ((int32_t)1 << (longest - length)) <= whole - used)
                break;
        of_length[length]--;
        of_length[length - 1]++;
        used += (int32_t)1 << (longest - length);
    }
}

/* Choose the length of the code of each symbol that occurs, by counts below 2^20. */
static void choose_lengths(const uint32_t *counts, int size, int longest, uint8_t *lengths) {
    uint32_t sorted[NUM_SYMBOLS], weights[NUM_SYMBOLS];
    int of_length[LONGEST_CODE + 1];
    int present = 0, i, length;
    for (i = 0; i < size; i++) {
        lengths[i] = 0;
        if (counts[i])
            sorted[present++] = counts[i] << 9 | (uint32_t)i;
    }
    sort(sorted, present);
    for (i = 0; i < present; i++)
        weights[i] = sorted[i] >> 9;
    count_lengths(weights, present, longest, of_length);
    complete(of_length, longest);
    for (i = present, length = 1; length <= longest; length++)
        for (; of_length[length]; of_length[length]--)
            lengths[sorted[--i] & 511] = (uint8_t)length;
}

/* Make codes of given lengths (RFC 1951, 3.2.2), bits in the order in which they are written. */
static void make_codes(const uint8_t *lengths, int size, uint32_t *codes) {
    uint32_t of_length[LONGEST_CODE + 2] = {0}, next[LONGEST_CODE + 2] = {0};
    uint32_t code = 0, value;
    int i, bit;
    for (i = 0; i < size; i++)
        of_length[lengths[i]]++;
    of_length[0] = 0;
    for (i = 1; i <= LONGEST_CODE; i++)
        next[i] = code = (code + of_length[i - 1]) << 1;
    for (i = 0; i < size; i++) {
        codes[i] = 0;
        if (!lengths[i])
            continue;
        value = next[lengths[i]]++;
        for (bit = 0; bit < lengths[i]; bit++, value >>= 1)
            codes[i] = codes[i] << 1 | (value & 1);
    }
}

/* The lengths of codes as symbols with extra bits; 16 to 18 repeat (RFC 1951, 3.2.7). */
typedef struct {
    int count;
    uint8_t symbols[NUM_SYMBOLS + 1];
    uint8_t extra[NUM_SYMBOLS + 1];
} Lengths;

static void add_length(Lengths *written, int symbol, int extra) {
    written->symbols[written->count] = (uint8_t)symbol;
    written->extra[written->count++] = (uint8_t)extra;
}

static void describe(const uint8_t *lengths, int size, Lengths *written) {
    int start = 0, run, part;
    written->count = 0;
    while (start < size) {
        for (run = 1; start + run < size && lengths[start + run] == lengths[start]; run++)
            ;
        start += run;
        if (lengths[start - 1]) {
            add_length(written, lengths[start - 1], 0);
            run--;
        }
        while (run) {
            int is_zero = !lengths[start - 1];
            int most = is_zero ? 138 : 6;
            part = run < most ? run : most;
            if (part < 3)
                part = 1;
            if (part == 1)
                add_length(written, lengths[start - 1], 0);
            else if (!is_zero)
                add_length(written, 16, part - 3);
            else
                add_length(written, part < 11 ? 17 : 18, part < 11 ? part - 3 : part - 11);
            run -= part;
        }
    }
}

static void put_header(Bits *bits, const uint8_t *lengths) {
    static const uint8_t order[NUM_LENGTHS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
    static const uint8_t extra_bits[3] = {2, 3, 7};
    uint8_t all[NUM_SYMBOLS + 1], of_lengths[NUM_LENGTHS];
    uint32_t counts[NUM_LENGTHS] = {0}, codes[NUM_LENGTHS];
    Lengths written;
    int shown = NUM_LENGTHS, i;
    memcpy(all, lengths, NUM_SYMBOLS);
    all[NUM_SYMBOLS] = 1; /* a code of a distance, which no block uses */
    describe(all, NUM_SYMBOLS + 1, &written);
    for (i = 0; i < written.count; i++)
        counts[written.symbols[i]]++;
    choose_lengths(counts, NUM_LENGTHS, LONGEST_LENGTH_CODE, of_lengths);
    make_codes(of_lengths, NUM_LENGTHS, codes);
    while (!of_lengths[order[shown - 1]])
        shown--;
    put(bits, 2 << 1, 3); /* not the last block; codes of its own */
    put(bits, NUM_SYMBOLS - 257, 5);
    put(bits, 0, 5); /* one code of a distance */
    put(bits, (uint32_t)shown - 4, 4);
    for (i = 0; i < shown; i++)
        put(bits, of_lengths[order[i]], 3);
    for (i = 0; i < written.count; i++) {
        int symbol = written.symbols[i];
        put(bits, codes[symbol], of_lengths[symbol]);
        if (symbol >= 16)
            put(bits, written.extra[i], extra_bits[symbol - 16]);
    }
}

/* Put the code of each byte. An entry of the table is a code, and below it its length. Five codes
   are joined before they are added to the bits that wait, which is what takes time. */
BY_PROCESSOR
static void put_bytes(Bits *bits, const uint8_t *data, size_t size, const uint32_t *table) {
    const unsigned mask = (1u << LENGTH_BITS) - 1;
    uint64_t waiting = bits->waiting;
    unsigned count = bits->count;
    uint8_t *next = bits->next;
    size_t i = 0;
    for (; i + 5 <= size; i += 5) {
        uint32_t a = table[data[i]], b = table[data[i + 1]], c = table[data[i + 2]];
        uint32_t d = table[data[i + 3]], e = table[data[i + 4]];
        uint64_t first = (uint64_t)(a >> LENGTH_BITS) | (uint64_t)(b >> LENGTH_BITS) << (a & mask);
        uint64_t last = (uint64_t)(c >> LENGTH_BITS) | (uint64_t)(d >> LENGTH_BITS) << (c & mask);
        last |= (uint64_t)(e >> LENGTH_BITS) << ((c + d) & mask);
        waiting |= first << count | last << ((count + a + b) & mask);
        count = (count + a + b + c + d + e) & mask;
        memcpy(next, &waiting, sizeof waiting);
        next += count >> 3;
        waiting >>= count & ~7u;
        count &= 7;
    }
    bits->waiting = waiting;
    bits->count = count;
    bits->next = next;
    for (; i < size; i++)
        put(bits, table[data[i]] >> LENGTH_BITS, table[data[i]] & mask);
}

static void put_block(Bits *bits, const uint8_t *data, size_t size) {
    uint32_t counts[NUM_SYMBOLS], codes[NUM_SYMBOLS], table[256];
    uint8_t lengths[NUM_SYMBOLS];
    int i;
    count_bytes(data, size, counts);
    counts[END_OF_BLOCK] = 1;
    choose_lengths(counts, NUM_SYMBOLS, LONGEST_CODE, lengths);
    make_codes(lengths, NUM_SYMBOLS, codes);
    for (i = 0; i < 256; i++)
        table[i] = codes[i] << LENGTH_BITS | lengths[i];
    put_header(bits, lengths);
    put_bytes(bits, data, size, table);
    put(bits, codes[END_OF_BLOCK], lengths[END_OF_BLOCK]);
}

/* Write blocks, and an empty stored block, which ends at a whole byte; return their size. */
static size_t put_blocks(const uint8_t *data, size_t size, uint8_t *out) {
    Bits bits = {0, 0, out};
    size_t start, length;
    for (start = 0; start < size; start += BLOCK_BYTES) {
        length = size - start < BLOCK_BYTES ? size - start : BLOCK_BYTES;
        put_block(&bits, data + start, length);
    }
    put(&bits, 0, 3);
    put(&bits, 0, (8 - bits.count) & 7);
    put(&bits, 0xFFFF0000u, 32);
    return (size_t)(bits.next - out);
}

/* Whole words are stored behind the last byte, too. */
static size_t most_bytes_of(size_t size) {
    size_t num_blocks = size / BLOCK_BYTES + 1;
    return size / 8 * LONGEST_CODE + 2 * LONGEST_CODE + num_blocks * MOST_HEADER_BYTES;
}

static PyObject *most_bytes(PyObject *module, PyObject *size) {
    Py_ssize_t given = PyLong_AsSsize_t(size);
    (void)module;
    if (given == -1 && PyErr_Occurred())
        return NULL;
    if (given < 0 || given > PY_SSIZE_T_MAX / 4) {
        PyErr_SetString(PyExc_ValueError, "a size is between 0 and a quarter of the address space");
        return NULL;
    }
    return PyLong_FromSize_t(most_bytes_of((size_t)given));
}

enum { MOST_BYTES_AT_ONCE = 1 << 15 };

static PyObject *encode_into(PyObject *module, PyObject *arguments) {
    Py_buffer data, out;
    size_t written = 0;
    int fits;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*w*", &data, &out))
        return NULL;
    fits = (size_t)out.len >= most_bytes_of((size_t)data.len);
    if (fits) {
        /* To let other threads go on takes longer than to encode few bytes. */
        PyThreadState *state = data.len > MOST_BYTES_AT_ONCE ? PyEval_SaveThread() : NULL;
        written = put_blocks(data.buf, (size_t)data.len, out.buf);
        if (state != NULL)
            PyEval_RestoreThread(state);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&out);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the memory is smaller than most_bytes() of the data");
        return NULL;
    }
    return PyLong_FromSize_t(written);
}

static PyMethodDef functions[] = {
    {"encode_into", encode_into, METH_VARARGS,
     "encode_into(data, out)\n--\n\n"
     "Write bytes as deflate blocks of literals, without a last block, and return their size."},
    {"most_bytes", most_bytes, METH_O,
     "most_bytes(size)\n--\n\nReturn the memory that encode_into needs for so many bytes."},
    {NULL, NULL, 0, NULL},
};

DEFINE_MODULE(_literal_blocks, "Deflate blocks in which every byte is a literal.", functions)
