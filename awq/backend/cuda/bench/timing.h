// Times the W4 linear kernels and cuBLAS fp16 beside them on the layers of a model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "awq/backend/cuda/bench/graph_timer.h"
#include "awq/backend/cuda/gemm_table.h"

namespace awq::cuda {

// What this GPU reaches, measured at start.
struct Ceilings {
  double read_tbps = 0.0;    // reading 4 GB once
  double fp16_tflops = 0.0;  // cuBLAS, 8192³
};
Ceilings MeasureCeilings();

struct LayerShape {
  std::string name;
  int64_t n, k;
};

struct Measurement {
  std::string name;  // "linear_q4/gateup8b/gemv16"
  int64_t m, n, k;
  Timing time;
  double limit_us = 0.0;  // the larger of bytes over read_tbps and operations over fp16_tflops
  double bytes = 0.0;
  Timing baseline;  // cuBLAS fp16; zeros where there is none
};

// All layers, all m: the kernel that ChooseGemm takes, in a chain with and without overlapped
// launches, weights in enough copies that L2 holds none of them when their turn comes again. Prints
// a row each and returns them.
std::vector<Measurement> TimeLinears(const DeviceLimits& device, const Ceilings& ceilings,
                                     const std::vector<LayerShape>& shapes,
                                     const std::vector<int64_t>& ms, bool bf16);
// Every row of the table whose name holds `pattern`, for the rule that chooses among them.
void SweepTable(const DeviceLimits& device, const Ceilings& ceilings,
                const std::vector<LayerShape>& shapes, const std::vector<int64_t>& ms,
                std::string_view pattern);

}  // namespace awq::cuda
