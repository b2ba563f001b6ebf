// awq_synthetic SHAPE OUT [OPTION…]: a checkpoint with the shapes of a real model and random
// weights, for measuring speed and memory where nothing can be downloaded; without a tokenizer:
// `awq bench` needs none. 4 bits as awq_gemm, groups of 128, zero points.
//   --8bit               8 bits as compressed-tensors, symmetric
//   --symmetric          4 bits as compressed-tensors, symmetric
//   --group N            groups of N
//   --dense, --bf16      16 bits: F16, BF16
//   --layers N           instead of the model's
//   --one-layer          the weights of all layers but the first are left out, for `awq bench
//                        --same-layers`
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/synthetic/writer.h"

namespace awq::synthetic {
namespace {

int Run(int argc, char** argv) {
  Weights weights;
  DType type = DType::kF16;
  int64_t layers = 0;
  bool one_layer = false;
  bool good = argc >= 3;
  for (int i = 3; good && i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--layers" && i + 1 < argc) {
      layers = std::atoll(argv[++i]);
      good = layers > 0;
    } else if (flag == "--group" && i + 1 < argc) {
      weights.group = std::atoll(argv[++i]);
      good = weights.group > 0;
    } else if (flag == "--symmetric") {
      weights.symmetric = true;
    } else if (flag == "--one-layer") {
      one_layer = true;
    } else {
      good = flag == "--8bit" || flag == "--dense" || flag == "--bf16";
      weights.bits = flag == "--8bit" ? 8 : 16;
      if (flag == "--bf16") type = DType::kBF16;
    }
  }
  for (Model m : Models()) {
    if (!good || m.name != argv[1]) continue;
    if (layers > 0) m.layers = layers;
    const int64_t bytes = WriteModel(m, argv[2], weights, type, one_layer ? 1 : m.layers);
    std::printf("%s: %.2f GB in %s\n", argv[1], static_cast<double>(bytes) / 1e9, argv[2]);
    return 0;
  }
  std::fprintf(stderr,
               "usage: awq_synthetic SHAPE OUT [--8bit|--dense|--bf16] [--group N] [--symmetric] [--layers N] "
               "[--one-layer]\n"
               "shapes:");
  for (const Model& m : Models()) std::fprintf(stderr, " %s", std::string(m.name).c_str());
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace
}  // namespace awq::synthetic

int main(int argc, char** argv) {
  try {
    return awq::synthetic::Run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "awq_synthetic: %s\n", e.what());
    return 1;
  }
}
