#include "awq/backend/cuda/bench/verify_case.h"

#include <random>
#include <vector>

namespace awq::cuda {

void AddOutliers(bool bf16, int64_t count, uint16_t* x) {
  std::vector<uint16_t> values(static_cast<size_t>(count));
  AWQ_CUDA(cudaMemcpy(values.data(), x, values.size() * 2, cudaMemcpyDefault));
  for (size_t i = 0; i < values.size(); i += 97) values[i] = bf16 ? 0x4396 : 0x5cb0;
  AWQ_CUDA(cudaMemcpy(x, values.data(), values.size() * 2, cudaMemcpyDefault));
}

namespace {

// Zero points 3 to 12, codes at most 3 off.
void CenterCodes(std::mt19937& random, QuantizedWeight& w) {
  AWQ_CHECK(!w.scheme.symmetric, kInternal, "codes about zero points that there are none of");
  auto* codes = w.codes.As<uint8_t>();
  auto* zeros = w.zeros.As<uint8_t>();
  const int64_t k = w.k();
  const int64_t groups = w.scheme.Groups(k);
  for (int64_t i = 0; i < w.n() * groups; ++i) zeros[i] = static_cast<uint8_t>(3 + random() % 10);
  for (int64_t i = 0; i < w.n() * k; i += 2) {
    const int zero = zeros[i / k * groups + i % k / (k / groups)];
    const auto code = [&] { return zero - 3 + static_cast<int>(random() % 7); };
    const int even = code();
    codes[i / 2] = static_cast<uint8_t>(even | code() << 4);
  }
}

}  // namespace

QuantizedWeight RandomWeight(const VerifyCase& c, uint32_t seed) {
  std::mt19937 random(seed);
  const QuantScheme scheme{.bits = 4, .group = c.group, .symmetric = c.symmetric};
  QuantizedWeight w = MakeQuantizedWeight(scheme, c.n, c.k, DType::kF16);
  auto* codes = w.codes.As<uint8_t>();
  for (int64_t i = 0; i < c.n * c.k / 2; ++i) codes[i] = static_cast<uint8_t>(random());
  for (int64_t i = 0; i < w.scales.view().NumElements(); ++i) {
    StoreFloat(w.scales.view(), i, (1.0f + static_cast<float>(random() % 1024) / 256.0f) / 64.0f);
    if (!c.symmetric) w.zeros.As<uint8_t>()[i] = static_cast<uint8_t>(random() % 16);
  }
  if (c.centered) CenterCodes(random, w);
  return w;
}

}  // namespace awq::cuda
