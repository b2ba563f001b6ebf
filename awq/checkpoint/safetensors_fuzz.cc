// Fuzz target: any bytes are either a safetensors file whose every tensor can be read, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "awq/base/error.h"
#include "awq/checkpoint/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const awq::SafetensorsHeader header = awq::ParseSafetensorsHeader(bytes, "fuzz");
    int64_t covered = 0;
    for (const awq::SafetensorsEntry& e : header.entries) {
      if (e.begin < 8 || e.end < e.begin || e.end > static_cast<int64_t>(size)) std::abort();
      covered += e.end - e.begin;
      volatile uint8_t sink = 0;
      for (int64_t i = e.begin; i < e.end; ++i) sink = data[i];
      (void)sink;
      // Strides and sizes of the view must not overflow.
      (void)awq::TensorView(nullptr, awq::DType::kF64, e.shape).NumElements();
    }
    if (covered > static_cast<int64_t>(size)) std::abort();
  } catch (const awq::Error&) {
    // Refused: what most inputs deserve.
  }
  return 0;
}
