// PackFormat: one on-disk layout of quantized linears, as a codec around QuantizedWeight.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/json.h"
#include "awq/base/tensor.h"
#include "awq/pack/quantized_weight.h"

namespace awq {

struct NamedTensor {
  std::string name;  // the full name in the checkpoint
  Tensor tensor;
};

// Finds a tensor of a checkpoint by its full name; an empty Tensor when there is none.
class TensorLookup {
 public:
  virtual ~TensorLookup() = default;
  virtual Tensor Find(const std::string& name) const = 0;
};

// Modules that one scheme holds for.
struct SchemeGroup {
  QuantScheme scheme;
  std::vector<std::string> modules;
};

class PackFormat {
 public:
  virtual ~PackFormat() = default;
  // As on the command line: "awq_gemm", "compressed-tensors".
  virtual std::string_view Name() const = 0;

  // Whether config.json's quantization_config describes this format.
  virtual bool Accepts(const Json& quantization_config) const = 0;
  // The scheme it states, the first of several. Throws kUnsupported (what is supported instead),
  // kCorrupt.
  virtual QuantScheme Scheme(const Json& quantization_config) const = 0;
  // The scheme of one module, where a configuration may state several.
  virtual QuantScheme SchemeOf(const Json& quantization_config, std::string_view /*linear*/) const {
    return Scheme(quantization_config);
  }
  // Whether that module path (e.g. "model.layers.0.mlp.gate_proj") is left in 16 bits.
  virtual bool Skips(const Json& quantization_config, std::string_view linear) const = 0;

  // Throws kUnsupported, naming the format and what would do, when it cannot hold [n, k] so.
  virtual void Check(const QuantScheme& scheme, int64_t n, int64_t k,
                     std::string_view linear) const = 0;
  // Reads "<linear>.<suffix>" tensors; [n, k] are the shapes the model expects. Throws kNotFound,
  // kCorrupt naming tensor, expected and found.
  virtual QuantizedWeight Unpack(const TensorLookup& tensors, const std::string& linear,
                                 const QuantScheme& scheme, int64_t n, int64_t k) const = 0;
  // The tensors to write for one linear, sorted by name. `model_type` is the type of the rest of
  // the checkpoint (F16 or BF16).
  virtual std::vector<NamedTensor> Pack(const QuantizedWeight& weight, const std::string& linear,
                                        DType model_type) const = 0;
  // The type its scales are stored in; quantizers round scales to it before they choose codes.
  virtual DType ScaleType(DType model_type) const = 0;
  // The quantization_config block. `skipped`: module paths left in 16 bits, e.g. {"lm_head"}.
  virtual RawJson Config(const QuantScheme& scheme,
                         const std::vector<std::string>& skipped) const = 0;
  // The same for modules of several schemes. Throws kUnsupported where the format holds but one.
  virtual RawJson MixedConfig(const std::vector<SchemeGroup>& groups,
                              const std::vector<std::string>& skipped) const;
};

// All formats, in the order in which Accepts is asked.
const std::vector<std::unique_ptr<const PackFormat>>& PackFormats();
// Throws kInvalidArgument listing the names.
const PackFormat& PackFormatByName(std::string_view name);
// Throws kUnsupported listing what each format accepts.
const PackFormat& PackFormatFor(const Json& quantization_config);

}  // namespace awq
