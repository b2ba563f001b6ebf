// AWQ GEMM, the layout of AutoAWQ's WQLinear_GEMM:
//   <linear>.qweight  i32 [K, N/8]   codes, eight outputs a word    (AwqGemmField)
//   <linear>.qzeros   i32 [K/g, N/8] zero points, likewise
//   <linear>.scales   f16 [K/g, N]
#include <algorithm>
#include <cctype>
#include <cstring>
#include <vector>

#include "awq/pack/format/formats.h"
#include "awq/pack/format/layout.h"
#include "awq/pack/format/parts.h"

namespace awq {
namespace {

// Codes move in tiles of 512 outputs × 512 inputs: 256 bytes of each row on either side, and 128
// KiB between them, which the second-level cache holds.
constexpr int64_t kTileWords = 64;    // words of eight outputs
constexpr int64_t kTileInputs = 512;  // in words of eight: kTileLine
constexpr int64_t kTileLine = kTileInputs / 8;
constexpr int64_t kLanes = 16;  // words transposed at a time: a cache line, for the vector units

using Words = uint32_t[8][kLanes];

// One step of the transposition: exchanges the fields of `mask << shift` in word a with those of
// `mask` in word b.
inline void Exchange(Words& words, int a, int b, int shift, uint32_t mask) {
  for (int64_t w = 0; w < kLanes; ++w) {
    const uint32_t t = ((words[a][w] >> shift) ^ words[b][w]) & mask;
    words[b][w] ^= t;
    words[a][w] ^= t << shift;
  }
}

// For every w: nibble i of words[j][w] becomes nibble j of words[i][w].
inline void TransposeNibbles(Words& words) {
  for (int a : {0, 1, 2, 3}) Exchange(words, a, a + 4, 16, 0x0000ffffu);
  for (int a : {0, 1, 4, 5}) Exchange(words, a, a + 2, 8, 0x00ff00ffu);
  for (int a : {0, 2, 4, 6}) Exchange(words, a, a + 1, 4, 0x0f0f0f0fu);
}

// Of a tile, what lies inside the weight; and its codes as the canonical weight has them, an output
// a line, eight inputs a word.
struct Tile {
  int64_t word = 0;    // first word of eight outputs
  int64_t words = 0;   // how many
  int64_t input = 0;   // first input
  int64_t inputs = 0;  // how many; a multiple of 8
  std::vector<uint32_t> lines = std::vector<uint32_t>(kTileWords * 8 * kTileLine);
};

template <typename Body>
void ForEachTile(int64_t n, int64_t k, const Body& body) {
  Tile tile;
  for (tile.word = 0; tile.word < n / 8; tile.word += kTileWords) {
    for (tile.input = 0; tile.input < k; tile.input += kTileInputs) {
      tile.words = std::min(kTileWords, n / 8 - tile.word);
      tile.inputs = std::min(kTileInputs, k - tile.input);
      body(tile);
    }
  }
}

// qweight [K, N/8] → codes U4 [N, K].
void UnpackCodes(const uint32_t* qweight, int64_t n, int64_t k, uint8_t* codes) {
  ForEachTile(n, k, [&](Tile& tile) {
    for (int64_t j = 0; j < tile.inputs; j += 8) {
      for (int64_t first = 0; first < tile.words; first += kLanes) {
        Words words = {};
        const auto bytes = static_cast<size_t>(std::min(kLanes, tile.words - first)) * 4;
        const uint32_t* from = qweight + (tile.input + j) * (n / 8) + tile.word + first;
        for (int64_t r = 0; r < 8; ++r) std::memcpy(words[r], from + r * (n / 8), bytes);
        TransposeNibbles(words);
        uint32_t* to = tile.lines.data() + 8 * first * kTileLine + j / 8;
        for (int i = 0; i < 8; ++i) {
          for (int64_t w = 0; w < kLanes; ++w) {
            to[(8 * w + AwqGemmOutput(i)) * kTileLine] = words[i][w];
          }
        }
      }
    }
    for (int64_t r = 0; r < 8 * tile.words; ++r) {
      std::memcpy(codes + ((8 * tile.word + r) * k + tile.input) / 2,
                  tile.lines.data() + r * kTileLine, static_cast<size_t>(tile.inputs) / 2);
    }
  });
}

// codes U4 [N, K] → qweight [K, N/8].
void PackCodes(const uint8_t* codes, int64_t n, int64_t k, uint32_t* qweight) {
  ForEachTile(n, k, [&](Tile& tile) {
    for (int64_t r = 0; r < 8 * tile.words; ++r) {
      std::memcpy(tile.lines.data() + r * kTileLine,
                  codes + ((8 * tile.word + r) * k + tile.input) / 2,
                  static_cast<size_t>(tile.inputs) / 2);
    }
    for (int64_t j = 0; j < tile.inputs; j += 8) {
      for (int64_t first = 0; first < tile.words; first += kLanes) {
        Words words;
        const uint32_t* from = tile.lines.data() + 8 * first * kTileLine + j / 8;
        for (int i = 0; i < 8; ++i) {
          for (int64_t w = 0; w < kLanes; ++w) {
            words[i][w] = from[(8 * w + AwqGemmOutput(i)) * kTileLine];
          }
        }
        TransposeNibbles(words);
        const auto bytes = static_cast<size_t>(std::min(kLanes, tile.words - first)) * 4;
        uint32_t* to = qweight + (tile.input + j) * (n / 8) + tile.word + first;
        for (int64_t r = 0; r < 8; ++r) std::memcpy(to + r * (n / 8), words[r], bytes);
      }
    }
  });
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The value under AutoAWQ's name in user and legacy files, or under the one in config.json.
int64_t IntEither(const Json& config, std::string_view name, std::string_view legacy) {
  if (const auto value = config.Find(name)) return value->AsInt();
  return config.Int(legacy);
}

// Whether `entry` occurs in `path` as whole components: "gate" is in "mlp.gate", not in
// "mlp.gate_proj". Dots around an entry ("mlp.gate.") only anchor it and are dropped.
bool HasComponents(std::string_view path, std::string_view entry) {
  while (entry.starts_with('.')) entry.remove_prefix(1);
  while (entry.ends_with('.')) entry.remove_suffix(1);
  if (entry.empty()) return false;
  for (size_t at = path.find(entry); at != path.npos; at = path.find(entry, at + 1)) {
    const size_t end = at + entry.size();
    if ((at == 0 || path[at - 1] == '.') && (end == path.size() || path[end] == '.')) return true;
  }
  return false;
}

class AwqGemmFormat : public PackFormat {
 public:
  std::string_view Name() const override { return "awq_gemm"; }

  bool Accepts(const Json& config) const override {
    if (const auto method = config.Find("quant_method")) return method->AsString() == "awq";
    // Legacy quant_config.json; GPTQ's counterpart has desc_act in place of zero_point.
    return config.Has("w_bit") || (config.Has("zero_point") && !config.Has("desc_act"));
  }

  // zero_point says nothing that matters here: the layout always has qzeros, and symmetric models
  // store 8 in them.
  QuantScheme Scheme(const Json& config) const override {
    const std::string version = LowerCase(config.String("version", "gemm"));
    AWQ_CHECK(version == "gemm", kUnsupported, config.Where(), ": AWQ version \"", version,
              "\" is not supported; supported: gemm, and compressed-tensors");
    QuantScheme scheme;
    const int64_t bits = IntEither(config, "bits", "w_bit");
    AWQ_CHECK(bits == 4, kUnsupported, config.Where(), ": AWQ with ", bits,
              " bits is not supported; supported: 4");
    scheme.group = IntEither(config, "group_size", "q_group_size");
    AWQ_CHECK(scheme.group > 0 && scheme.group % 8 == 0, kUnsupported, config.Where(),
              ": AWQ gemm with group_size ", scheme.group, " is not supported; supported: a ",
              "multiple of 8, usually 128");
    return scheme;
  }

  // Readers disagree: AutoAWQ and vLLM match an entry as a substring, so that "gate" also skips
  // gate_proj; Transformers matches components. We count components alone, which never skips too
  // much; a module that a substring reader left in 16 bits shows by its ".weight" tensor, which
  // Checkpoint::IsQuantized asks for first.
  bool Skips(const Json& config, std::string_view linear) const override {
    if (const auto list = config.Find("modules_to_not_convert")) {
      const RawJson& entries = list->raw();
      AWQ_CHECK(entries.is_array(), kCorrupt, list->Where(), ": expected an array of names");
      for (const RawJson& entry : entries) {
        AWQ_CHECK(entry.is_string(), kCorrupt, list->Where(), ": expected an array of names");
        if (HasComponents(linear, entry.get_ref<const std::string&>())) return true;
      }
    }
    // AutoAWQ never touches what lies outside the decoder layers, and does not list it.
    return HasComponents(linear, "lm_head") && !config.Bool("lm_head", false);
  }

  void Check(const QuantScheme& scheme, int64_t n, int64_t k,
             std::string_view linear) const override {
    AWQ_CHECK(scheme.bits == 4, kUnsupported, linear, ": awq_gemm holds 4-bit weights, not ",
              scheme.bits, "-bit; use compressed-tensors");
    AWQ_CHECK(scheme.group > 0 && scheme.group % 8 == 0, kUnsupported, linear,
              ": awq_gemm needs a positive group size that is a multiple of 8, not ", scheme.group,
              "; use 32, 64 or 128, or compressed-tensors for whole rows");
    AWQ_CHECK(n % 8 == 0, kUnsupported, linear, ": awq_gemm needs outputs in multiples of 8, not ",
              n, "; leave this module in 16 bits or use compressed-tensors");
    AWQ_CHECK(k % scheme.group == 0, kUnsupported, linear, ": ", k,
              " inputs do not divide into groups of ", scheme.group,
              "; use a smaller group or leave this module in 16 bits");
  }

  QuantizedWeight Unpack(const TensorLookup& tensors, const std::string& linear,
                         const QuantScheme& scheme, int64_t n, int64_t k) const override {
    Check(scheme, n, k, linear);
    const int64_t groups = scheme.Groups(k);
    const std::string why = Cat("K=", k, ", N=", n, ", 4-bit, group ", scheme.group);
    const auto part = [&](const char* suffix, std::initializer_list<DType> types,
                          const Shape& shape) {
      return RequirePart(tensors, linear + suffix, types, shape, why);
    };
    const Tensor qweight = part(".qweight", {DType::kI32}, {k, n / 8});
    const Tensor qzeros = part(".qzeros", {DType::kI32}, {groups, n / 8});
    const Tensor scales = part(".scales", {DType::kF16, DType::kBF16}, {groups, n});

    QuantizedWeight out;
    out.scheme = scheme;
    out.codes = MakeTensor(DType::kU4, {n, k});
    UnpackCodes(qweight.As<const uint32_t>(), n, k, out.codes.As<uint8_t>());
    out.scales = TransposeScales(scales.view(), scales.dtype(), linear + ".scales");
    if (scheme.symmetric) {
      for (const uint32_t word : qzeros.Span<const uint32_t>()) {
        AWQ_CHECK(word == 0x88888888u, kCorrupt, linear,
                  ".qzeros: expected 8 everywhere in a symmetric weight, found word ", word);
      }
      return out;
    }
    out.zeros = MakeTensor(DType::kU8, {n, groups});
    auto* zeros = out.zeros.As<uint8_t>();
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t r = 0; r < n; ++r) {
        const BitField at = AwqGemmField(r, g, n);
        zeros[r * groups + g] = (qzeros.As<const uint32_t>()[at.word] >> at.shift) & 15;
      }
    }
    return out;
  }

  std::vector<NamedTensor> Pack(const QuantizedWeight& weight, const std::string& linear,
                                DType model_type) const override {
    const int64_t n = weight.n();
    const int64_t k = weight.k();
    Check(weight.scheme, n, k, linear);
    const int64_t groups = weight.scheme.Groups(k);
    Tensor qweight = MakeTensor(DType::kI32, {k, n / 8});
    PackCodes(weight.codes.As<const uint8_t>(), n, k, qweight.As<uint32_t>());
    Tensor qzeros = MakeTensor(DType::kI32, {groups, n / 8});
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t r = 0; r < n; ++r) {
        const BitField at = AwqGemmField(r, g, n);
        qzeros.As<uint32_t>()[at.word] |= static_cast<uint32_t>(weight.Zero(r, g)) << at.shift;
      }
    }
    Tensor scales =
        TransposeScales(weight.scales.view(), ScaleType(model_type), linear + ".scales");
    std::vector<NamedTensor> out;
    out.push_back({linear + ".qweight", std::move(qweight)});
    out.push_back({linear + ".qzeros", std::move(qzeros)});
    out.push_back({linear + ".scales", std::move(scales)});
    return out;
  }

  DType ScaleType(DType) const override { return DType::kF16; }

  // As AutoAWQ writes it through Transformers, keys in its order.
  RawJson Config(const QuantScheme& scheme,
                 const std::vector<std::string>& skipped) const override {
    RawJson config;
    config["bits"] = scheme.bits;
    config["group_size"] = scheme.group;
    config["modules_to_not_convert"] = skipped.empty() ? RawJson(nullptr) : RawJson(skipped);
    config["quant_method"] = "awq";
    config["version"] = "gemm";
    config["zero_point"] = true;
    return config;
  }
};

}  // namespace

std::unique_ptr<const PackFormat> MakeAwqGemmFormat() { return std::make_unique<AwqGemmFormat>(); }

}  // namespace awq
