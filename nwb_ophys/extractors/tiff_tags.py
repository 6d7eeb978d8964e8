"""Numbers of the TIFF tags that matter here, from the TIFF 6.0 specification (Adobe, 1992)."""

import numpy as np

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, IMAGE_DESCRIPTION = 262, 266, 270
STRIP_OFFSETS, STRIP_BYTE_COUNTS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP = 273, 279, 277, 278
PLANAR_CONFIGURATION, PREDICTOR, TILE_WIDTH, TILE_LENGTH = 284, 317, 322, 323
TILE_OFFSETS, TILE_BYTE_COUNTS, SAMPLE_FORMAT, IMAGE_DEPTH = 324, 325, 339, 32997

# What TIFF 6.0 says a reader must assume where a page does not state the tag.
TAG_DEFAULTS = {
    IMAGE_WIDTH: 0,
    IMAGE_LENGTH: 0,
    BITS_PER_SAMPLE: 1,
    COMPRESSION: 1,
    PHOTOMETRIC: 0,
    FILL_ORDER: 1,
    SAMPLES_PER_PIXEL: 1,
    ROWS_PER_STRIP: 2**32 - 1,
    PLANAR_CONFIGURATION: 1,
    PREDICTOR: 1,
    TILE_WIDTH: 0,
    TILE_LENGTH: 0,
    SAMPLE_FORMAT: 1,
    IMAGE_DEPTH: 1,
}
# Bytes per element of the TIFF data types 1 to 18; 0 for those that do not exist.
TYPE_SIZES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8], np.int64)

# Pages that differ in one of these cannot be frames of one recording.
SHAPE_TAGS = {
    IMAGE_LENGTH: "number of rows",
    IMAGE_WIDTH: "number of columns",
    BITS_PER_SAMPLE: "number of bits per pixel",
    SAMPLE_FORMAT: "number format (SampleFormat tag)",
    SAMPLES_PER_PIXEL: "number of samples per pixel",
    IMAGE_DEPTH: "image depth",
    COMPRESSION: "compression",
}
# Pages that differ in one of these are readable, but not in one block.
CODING_TAGS = (
    PHOTOMETRIC,
    FILL_ORDER,
    ROWS_PER_STRIP,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    TILE_WIDTH,
    TILE_LENGTH,
)
UNCOMPRESSED = 1
