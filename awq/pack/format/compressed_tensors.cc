// compressed-tensors pack-quantized, as llm-compressor writes it, 4 or 8 bits:
//   <linear>.weight_packed      i32 [N, ⌈K·b/32⌉]   codes along the inputs (PackQuantizedCode)
//   <linear>.weight_scale       model type [N, K/g]
//   <linear>.weight_zero_point  i32 [⌈N·b/32⌉, K/g] if asymmetric, along the outputs
//   (PackQuantizedZero) <linear>.weight_shape       i64 [2] = N, K
// Its documents speak of signed codes; stored is code + 2^(b-1), which is our unsigned code.
#include <algorithm>
#include <cstring>
#include <optional>

#include "awq/pack/format/formats.h"
#include "awq/pack/format/layout.h"
#include "awq/pack/format/module_match.h"
#include "awq/pack/format/parts.h"

namespace awq {
namespace {

constexpr std::string_view kLayout = "pack-quantized";
// The release of the library whose layout and configuration we write.
constexpr std::string_view kLibraryVersion = "0.13.0";

// The entries of config_groups, one at least.
std::vector<Json> Groups(const Json& config) {
  const Json groups = config.At("config_groups");
  const RawJson& raw = groups.raw();
  AWQ_CHECK(raw.is_object() && !raw.empty(), kCorrupt, groups.Where(),
            ": expected an object with an entry");
  std::vector<Json> out;
  for (const auto& [name, value] : raw.items()) out.push_back(groups.At(name));
  return out;
}

// Entries by name go before those by class, as in the library.
bool NamesLinear(const Json& group, std::string_view linear) {
  const Json targets = group.At("targets");
  if (!SelectsLinear(targets, linear)) return false;
  return std::none_of(targets.raw().begin(), targets.raw().end(),
                      [](const RawJson& t) { return t == "Linear"; });
}

// The group of a module; empty when none selects it.
std::optional<Json> GroupOf(const Json& config, std::string_view linear) {
  std::optional<Json> by_class;
  for (const Json& group : Groups(config)) {
    if (NamesLinear(group, linear)) return group;
    if (!by_class && SelectsLinear(group.At("targets"), linear)) by_class = group;
  }
  return by_class;
}

bool IsEmptyOrNull(const std::optional<Json>& value) { return !value || value->raw().empty(); }

// Whatever would change the numbers and is not done here.
void CheckPlain(const Json& config, const Json& group) {
  for (const char* key : {"input_activations", "output_activations"}) {
    AWQ_CHECK(IsEmptyOrNull(group.Find(key)), kUnsupported, group.Where(), ".", key,
              ": quantized activations are not supported; supported: weights alone (W4A16, W8A16)");
  }
  if (const auto transform = config.Find("transform_config")) {
    AWQ_CHECK(IsEmptyOrNull(transform) || IsEmptyOrNull(transform->Find("config_groups")),
              kUnsupported, transform->Where(), ": run-time transforms are not supported");
  }
  if (const auto sparsity = config.Find("sparsity_config"); !IsEmptyOrNull(sparsity)) {
    const std::string format = sparsity->String("format", "dense");
    AWQ_CHECK(format == "dense", kUnsupported, sparsity->Where(), ": sparse format \"", format,
              "\" is not supported; supported: dense");
  }
}

// Rows of whole words, read as bytes: a code row has no idle bits at its end.
bool RowsAreWhole(int64_t k, int bits) { return k * bits % 32 == 0; }
int64_t RowBytes(int64_t k, int bits) { return k * bits / 8; }

// Shares the mapping where the bytes are the same, which is all but odd shapes.
Tensor UnpackCodes(Tensor packed, int64_t n, int64_t k, int bits) {
  const DType type = bits == 4 ? DType::kU4 : DType::kU8;
  if (RowsAreWhole(k, bits)) {
    void* data = packed.view().data;
    const auto owner = std::make_shared<const Tensor>(std::move(packed));
    return Tensor(TensorView(data, type, {n, k}), owner);
  }
  Tensor codes = MakeTensor(type, {n, k});
  const auto bytes = static_cast<size_t>(RowBytes(k, bits));
  for (int64_t r = 0; r < n; ++r) {
    const uint32_t* row = packed.As<const uint32_t>() + PackQuantizedCode(r, 0, k, bits).word;
    std::memcpy(codes.As<uint8_t>() + static_cast<size_t>(r) * bytes, row, bytes);
  }
  return codes;
}

Tensor PackCodes(const Tensor& codes, int64_t n, int64_t k, int bits) {
  Tensor packed = MakeTensor(DType::kI32, {n, WordsFor(k, bits)});
  const auto bytes = static_cast<size_t>(RowBytes(k, bits));
  for (int64_t r = 0; r < n; ++r) {
    uint32_t* row = packed.As<uint32_t>() + PackQuantizedCode(r, 0, k, bits).word;
    std::memcpy(row, codes.As<const uint8_t>() + static_cast<size_t>(r) * bytes, bytes);
  }
  return packed;
}

Tensor UnpackZeros(const Tensor& stored, int64_t n, int64_t groups, int bits) {
  Tensor zeros = MakeTensor(DType::kU8, {n, groups});
  auto* to = zeros.As<uint8_t>();
  if (stored.dtype() == DType::kI8) {  // before release 0.9 they were not packed
    const auto* from = stored.As<const int8_t>();
    const int offset = 1 << (bits - 1);
    for (int64_t i = 0; i < n * groups; ++i) {
      to[i] = static_cast<uint8_t>((from[i] + offset) & ((1 << bits) - 1));
    }
    return zeros;
  }
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const BitField at = PackQuantizedZero(r, g, groups, bits);
      to[r * groups + g] =
          static_cast<uint8_t>((stored.As<const uint32_t>()[at.word] >> at.shift) & mask);
    }
  }
  return zeros;
}

Tensor PackZeros(const QuantizedWeight& weight, int64_t n, int64_t groups, int bits) {
  Tensor packed = MakeTensor(DType::kI32, {WordsFor(n, bits), groups});
  const auto* from = weight.zeros.As<const uint8_t>();
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t g = 0; g < groups; ++g) {
      const BitField at = PackQuantizedZero(r, g, groups, bits);
      packed.As<uint32_t>()[at.word] |= uint32_t{from[r * groups + g]} << at.shift;
    }
  }
  return packed;
}

class CompressedTensorsFormat : public PackFormat {
 public:
  std::string_view Name() const override { return "compressed-tensors"; }

  bool Accepts(const Json& config) const override {
    return config.String("quant_method", "") == "compressed-tensors";
  }

  QuantScheme Scheme(const Json& config) const override {
    const std::vector<Json> groups = Groups(config);
    for (const Json& group : groups) (void)SchemeOfGroup(config, group);
    return SchemeOfGroup(config, groups.front());
  }

  QuantScheme SchemeOf(const Json& config, std::string_view linear) const override {
    const std::optional<Json> group = GroupOf(config, linear);
    AWQ_CHECK(group.has_value(), kCorrupt, config.Where(), ".config_groups: none selects ", linear,
              ", although it is stored quantized");
    return SchemeOfGroup(config, *group);
  }

  bool Skips(const Json& config, std::string_view linear) const override {
    const auto ignore = config.Find("ignore");
    if (ignore && SelectsLinear(*ignore, linear)) return true;
    return !GroupOf(config, linear);
  }

  void Check(const QuantScheme& scheme, int64_t, int64_t k,
             std::string_view linear) const override {
    AWQ_CHECK(scheme.bits == 4 || scheme.bits == 8, kUnsupported, linear,
              ": compressed-tensors holds 4- and 8-bit weights, not ", scheme.bits, "-bit");
    AWQ_CHECK(scheme.group == -1 || scheme.group > 0, kUnsupported, linear, ": group size ",
              scheme.group, "; use a positive one, or -1 for whole rows");
    AWQ_CHECK(scheme.group < 0 || k % scheme.group == 0, kUnsupported, linear, ": ", k,
              " inputs do not divide into groups of ", scheme.group,
              "; use a smaller group, whole rows (-1), or leave this module in 16 bits");
    AWQ_CHECK(scheme.bits == 8 || k % 2 == 0, kUnsupported, linear, ": an odd number of inputs (",
              k, ") at 4 bits; leave this module in 16 bits");
  }

  QuantizedWeight Unpack(const TensorLookup& tensors, const std::string& linear,
                         const QuantScheme& scheme, int64_t n, int64_t k) const override {
    Check(scheme, n, k, linear);
    const int bits = scheme.bits;
    const int64_t groups = scheme.Groups(k);
    const std::string why =
        Cat("K=", k, ", N=", n, ", ", bits, "-bit, ", groups, groups == 1 ? " group" : " groups");
    CheckShape(tensors, linear, n, k);
    AWQ_CHECK(
        tensors.Find(linear + ".weight_g_idx").empty(), kUnsupported, linear,
        ".weight_g_idx: groups in activation order are not supported; quantize with actorder ",
        "\"static\" or null");
    QuantizedWeight out;
    out.scheme = scheme;
    out.codes = UnpackCodes(
        RequirePart(tensors, linear + ".weight_packed", {DType::kI32}, {n, WordsFor(k, bits)}, why),
        n, k, bits);
    out.scales = RequirePart(tensors, linear + ".weight_scale",
                             {DType::kBF16, DType::kF16, DType::kF32}, {n, groups}, why);
    if (scheme.symmetric) return out;
    const std::string name = linear + ".weight_zero_point";
    const Tensor found = tensors.Find(name);
    const bool unpacked = !found.empty() && found.dtype() == DType::kI8;
    const Shape shape = {unpacked ? n : WordsFor(n, bits), groups};
    out.zeros = UnpackZeros(RequirePart(tensors, name, {DType::kI32, DType::kI8}, shape, why), n,
                            groups, bits);
    return out;
  }

  std::vector<NamedTensor> Pack(const QuantizedWeight& weight, const std::string& linear,
                                DType model_type) const override {
    const int64_t n = weight.n();
    const int64_t k = weight.k();
    const int bits = weight.scheme.bits;
    Check(weight.scheme, n, k, linear);
    Tensor shape = MakeTensor(DType::kI64, {2});
    shape.As<int64_t>()[0] = n;
    shape.As<int64_t>()[1] = k;
    const std::string scale_name = linear + ".weight_scale";
    std::vector<NamedTensor> out;
    out.push_back({linear + ".weight_packed", PackCodes(weight.codes, n, k, bits)});
    out.push_back(
        {scale_name, ConvertScales(weight.scales.view(), ScaleType(model_type), scale_name)});
    out.push_back({linear + ".weight_shape", std::move(shape)});
    if (!weight.scheme.symmetric) {
      out.push_back(
          {linear + ".weight_zero_point", PackZeros(weight, n, weight.scheme.Groups(k), bits)});
    }
    return out;
  }

  DType ScaleType(DType model_type) const override { return model_type; }

  RawJson Config(const QuantScheme& scheme,
                 const std::vector<std::string>& skipped) const override {
    return MixedConfig({{scheme, {"Linear"}}}, skipped);
  }

  // As llm-compressor writes it through Transformers, keys in its order.
  RawJson MixedConfig(const std::vector<SchemeGroup>& groups,
                      const std::vector<std::string>& skipped) const override {
    RawJson config;
    for (size_t i = 0; i < groups.size(); ++i) {
      RawJson group;
      group["input_activations"] = nullptr;
      group["output_activations"] = nullptr;
      group["targets"] = groups[i].modules;
      group["weights"] = Weights(groups[i].scheme);
      config["config_groups"][Cat("group_", i)] = std::move(group);
    }
    config["format"] = kLayout;
    config["global_compression_ratio"] = nullptr;
    config["ignore"] = skipped;
    config["kv_cache_scheme"] = nullptr;
    config["quant_method"] = "compressed-tensors";
    config["quantization_status"] = "compressed";
    config["version"] = kLibraryVersion;
    return config;
  }

 private:
  static RawJson Weights(const QuantScheme& scheme) {
    const bool channel = scheme.group < 0;
    RawJson weights;
    weights["actorder"] = nullptr;
    weights["block_structure"] = nullptr;
    weights["dynamic"] = false;
    weights["group_size"] = channel ? RawJson(nullptr) : RawJson(scheme.group);
    weights["num_bits"] = scheme.bits;
    weights["observer"] = "minmax";
    weights["observer_kwargs"] = RawJson::object();
    weights["strategy"] = channel ? "channel" : "group";
    weights["symmetric"] = scheme.symmetric;
    weights["type"] = "int";
    return weights;
  }

  static QuantScheme SchemeOfGroup(const Json& config, const Json& group) {
    const std::string format = group.String("format", config.String("format", ""));
    AWQ_CHECK(format == kLayout, kUnsupported, config.Where(), ": compressed-tensors format \"",
              format, "\" is not supported; supported: ", kLayout);
    CheckPlain(config, group);
    const Json weights = group.At("weights");
    QuantScheme scheme;
    const int64_t bits = weights.Int("num_bits");
    const std::string type = weights.String("type", "int");
    AWQ_CHECK((bits == 4 || bits == 8) && type == "int", kUnsupported, weights.Where(), ": ", bits,
              "-bit ", type, " is not supported; supported: 4- and 8-bit int");
    scheme.bits = static_cast<int>(bits);
    scheme.symmetric = weights.Bool("symmetric", true);
    scheme.group = weights.Int("group_size", -1);
    const std::string strategy = weights.String("strategy", scheme.group > 0 ? "group" : "channel");
    AWQ_CHECK(strategy == "group" || strategy == "channel", kUnsupported, weights.Where(),
              ": strategy \"", strategy, "\" is not supported; supported: group, channel");
    if (strategy == "channel") scheme.group = -1;
    AWQ_CHECK(strategy == "channel" || scheme.group > 0, kCorrupt, weights.Where(),
              ": strategy \"group\" with group_size ", scheme.group);
    CheckOrder(weights);
    return scheme;
  }

  // Only an order that the file keeps to itself ("static", "weight") leaves groups contiguous.
  static void CheckOrder(const Json& weights) {
    const auto order = weights.Find("actorder");
    if (!order || order->raw() == false) return;
    const bool fixed = order->raw() == "static" || order->raw() == "weight";
    AWQ_CHECK(fixed, kUnsupported, order->Where(), ": ", order->raw().dump(),
              " is not supported: it needs inputs reordered at run time; supported: null, static");
  }

  static void CheckShape(const TensorLookup& tensors, const std::string& linear, int64_t n,
                         int64_t k) {
    const std::string name = linear + ".weight_shape";
    if (tensors.Find(name).empty()) return;  // tells nothing that the packed shape does not
    const Tensor shape = RequirePart(tensors, name, {DType::kI64, DType::kI32}, {2}, "N, K");
    const auto at = [&](int i) {
      return shape.dtype() == DType::kI64 ? shape.As<const int64_t>()[i]
                                          : int64_t{shape.As<const int32_t>()[i]};
    };
    AWQ_CHECK(at(0) == n && at(1) == k, kCorrupt, name, ": expected ", Shape{n, k},
              " by config.json, found ", Shape{at(0), at(1)});
  }
};

}  // namespace

std::unique_ptr<const PackFormat> MakeCompressedTensorsFormat() {
  return std::make_unique<CompressedTensorsFormat>();
}

}  // namespace awq
