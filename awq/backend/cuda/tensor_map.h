// Descriptions of tensors in memory for the copy engine of sm_90.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace awq::cuda {

// Rows of 16-bit elements, `stride` elements apart: boxes of 64 columns × `box_rows`, each row of a
// box 128 bytes of shared memory, swizzled as wgmma reads it. Zeros beyond the last row and column.
CUtensorMap SwizzledRowsMap(const void* rows, int64_t count, int64_t columns, int64_t stride,
                            int box_rows);

// `rows` rows of `per_row` blocks of `bytes` each, all in one piece: boxes of one block of each of
// `box_rows` rows. Zeros beyond the last row. bytes is a multiple of 16. Coordinates: 0, block,
// row; for blocks of more than 2048 bytes 0, 0, block, row.
CUtensorMap BlocksMap(const void* blocks, int64_t rows, int64_t per_row, int64_t bytes,
                      int box_rows);

}  // namespace awq::cuda
