#include "awq/pack/format.h"

#include "awq/pack/format/formats.h"

namespace awq {

RawJson PackFormat::MixedConfig(const std::vector<SchemeGroup>& groups,
                                const std::vector<std::string>& skipped) const {
  AWQ_CHECK(groups.size() == 1, kUnsupported, Name(), ": holds one scheme beside 16 bits, not ",
            groups.size(), "; compressed-tensors holds several");
  return Config(groups.front().scheme, skipped);
}

const std::vector<std::unique_ptr<const PackFormat>>& PackFormats() {
  static const auto formats = [] {
    std::vector<std::unique_ptr<const PackFormat>> list;
    list.push_back(MakeAwqGemmFormat());
    list.push_back(MakeCompressedTensorsFormat());
    return list;
  }();
  return formats;
}

const PackFormat& PackFormatByName(std::string_view name) {
  std::string known;
  for (const auto& format : PackFormats()) {
    if (format->Name() == name) return *format;
    known += (known.empty() ? "" : ", ") + std::string(format->Name());
  }
  Fail(ErrorCode::kInvalidArgument, "unknown format \"", name, "\"; known: ", known);
}

const PackFormat& PackFormatFor(const Json& quantization_config) {
  std::string known;
  for (const auto& format : PackFormats()) {
    if (format->Accepts(quantization_config)) return *format;
    known += (known.empty() ? "" : ", ") + std::string(format->Name());
  }
  Fail(ErrorCode::kUnsupported, quantization_config.Where(), ": quant_method \"",
       quantization_config.String("quant_method", ""), "\", version \"",
       quantization_config.String("version", ""), "\", format \"",
       quantization_config.String("format", ""), "\" is not supported; supported: ", known);
}

}  // namespace awq
