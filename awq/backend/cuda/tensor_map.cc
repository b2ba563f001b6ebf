#include "awq/backend/cuda/tensor_map.h"

#include <cudaTypedefs.h>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

using Encode = PFN_cuTensorMapEncodeTiled_v12000;

// Of the driver, so that the program starts where there is none.
Encode FindEncode() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  AWQ_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                            cudaEnableDefault, &found));
  AWQ_CHECK(found == cudaDriverEntryPointSuccess, kDevice,
            "the driver does not know cuTensorMapEncodeTiled; needs a driver for CUDA 12 or later");
  return reinterpret_cast<Encode>(entry);
}

template <int kRank>
CUtensorMap MakeMap(CUtensorMapDataType type, const void* data, const cuuint64_t (&dims)[kRank],
                    const cuuint64_t (&strides)[kRank - 1], const cuuint32_t (&box)[kRank],
                    CUtensorMapSwizzle swizzle) {
  static const Encode encode = FindEncode();
  cuuint32_t steps[kRank];
  for (cuuint32_t& s : steps) s = 1;
  CUtensorMap map;
  const CUresult status =
      encode(&map, type, kRank, const_cast<void*>(data), dims, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  AWQ_CHECK(status == CUDA_SUCCESS, kDevice, "cuTensorMapEncodeTiled: status ",
            static_cast<int>(status), " for a box of ", box[0], " x ", box[1]);
  return map;
}

}  // namespace

CUtensorMap SwizzledRowsMap(const void* rows, int64_t count, int64_t columns, int64_t stride,
                            int box_rows) {
  const auto height = static_cast<cuuint64_t>(count);
  const auto width = static_cast<cuuint64_t>(columns);
  return MakeMap<2>(CU_TENSOR_MAP_DATA_TYPE_UINT16, rows, {width, height},
                    {static_cast<cuuint64_t>(2 * stride)}, {64, static_cast<cuuint32_t>(box_rows)},
                    CU_TENSOR_MAP_SWIZZLE_128B);
}

CUtensorMap BlocksMap(const void* blocks, int64_t rows, int64_t per_row, int64_t bytes,
                      int box_rows) {
  const auto block = static_cast<cuuint64_t>(bytes);
  const auto width = static_cast<cuuint64_t>(per_row);
  constexpr cuuint64_t kMost = 256 * 8;  // bytes of a box across
  if (block > kMost) {
    cuuint64_t pieces = 2;
    while (block % (16 * pieces) != 0 || block / pieces > kMost) ++pieces;
    const cuuint64_t piece = block / pieces;
    return MakeMap<4>(CU_TENSOR_MAP_DATA_TYPE_INT64, blocks,
                      {piece / 8, pieces, width, static_cast<cuuint64_t>(rows)},
                      {piece, block, block * width},
                      {static_cast<cuuint32_t>(piece / 8), static_cast<cuuint32_t>(pieces), 1,
                       static_cast<cuuint32_t>(box_rows)},
                      CU_TENSOR_MAP_SWIZZLE_NONE);
  }
  return MakeMap<3>(CU_TENSOR_MAP_DATA_TYPE_INT64, blocks,
                    {block / 8, width, static_cast<cuuint64_t>(rows)}, {block, block * width},
                    {static_cast<cuuint32_t>(block / 8), 1, static_cast<cuuint32_t>(box_rows)},
                    CU_TENSOR_MAP_SWIZZLE_NONE);
}

}  // namespace awq::cuda
