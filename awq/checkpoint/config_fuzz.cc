// Fuzz target: any bytes are either a config.json whose model and quantization can be described in
// full, or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "awq/base/error.h"
#include "awq/base/json.h"
#include "awq/model/arch.h"
#include "awq/model/rope.h"
#include "awq/pack/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const awq::Json config = awq::Json::Parse(text, "fuzz");
    if (const auto quantization = config.Find("quantization_config")) {
      const awq::PackFormat& format = awq::PackFormatFor(*quantization);
      (void)format.Scheme(*quantization);
      (void)format.Skips(*quantization, "model.layers.0.mlp.gate_proj");
    }
    const awq::Model model = awq::ReadModel(config);
    // A file may claim any number of layers.
    if (model.spec.num_layers() > 0) {
      for (const awq::LinearShape& shape : awq::LayerLinears(model.spec, 0)) {
        (void)model.names.Module(shape.id, 0);
      }
      (void)awq::LayerVectors(model.spec, 0);
      (void)awq::InverseFrequencies(awq::RopeOf(model.spec.layers[0]), 1);
    }
  } catch (const awq::Error&) {
    // Refused: what most inputs deserve.
  }
  return 0;
}
