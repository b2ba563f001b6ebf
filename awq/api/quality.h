// Quality: what quantization cost a model, measured beside its source and beside plain rounding.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "awq/api/evaluate.h"

namespace awq {

struct QualityOptions {
  std::filesystem::path model;   // the quantized checkpoint
  std::filesystem::path source;  // the 16-bit one it was made from
  std::string text = "builtin";  // or a file, UTF-8; the built-in one was not calibrated on
  int64_t window = 512;          // tokens the model sees at once; at most its context
  int64_t max_tokens = 4096;     // scored at most, in whole windows; 0: all of the text
  std::string device = "auto";
  int threads = 0;  // 0: all cores
};

// Bounds of the histogram of divergences: bin i holds 10^(i/4 - 6) up to 10^((i+1)/4 - 6) nats, the
// first also what is below, the last what is above.
inline constexpr size_t kDivergenceBins = 28;

// One model against the source, on the same tokens.
struct ModelQuality {
  double perplexity = 0;
  Divergence divergence;
  double mean_error = 0;  // standard error of divergence.mean, over windows; 0 with one window
  std::array<int64_t, kDivergenceBins> histogram{};  // tokens
};

// Mean over tokens of ‖x̂ - x‖² / ‖x‖², x the residual stream behind a layer in the source.
struct LayerQuality {
  double error = 0;
  double error_rounded = 0;
};

// The linears of one scheme, or everything that is not quantized.
struct BitsShare {
  std::string what;  // "4 bits, groups of 128", "16 bits"
  int64_t parameters = 0;
  int64_t bytes = 0;  // scales and zero points included
};

struct TokenGuess {
  std::string text;
  double probability = 0;
};
// A token at which the distributions differ most.
struct WorstToken {
  int64_t position = 0;  // in the text's tokens
  double divergence = 0;
  std::string before;             // the text that leads to it
  TokenGuess source, model;       // what each finds most likely
  std::string token;              // what the text goes on with
  double source_probability = 0;  // of that
  double model_probability = 0;
};

struct QualityReport {
  std::string model;  // names of the folders
  std::string source;
  std::string text;  // "builtin" or the file's name
  std::string text_sha256;
  int64_t window = 0;
  bool bos = false;
  int64_t windows = 0;
  int64_t tokens = 0;  // scored
  double source_perplexity = 0;
  ModelQuality quantized;
  ModelQuality rounded;  // the source's weights rounded to nearest under the model's schemes
  std::vector<LayerQuality> layers;
  std::vector<BitsShare> bits;
  std::vector<WorstToken> worst;  // ten at most, the worst first
  double seconds = 0;
};

struct QualityCallbacks {
  std::function<void(double done)> progress = {};  // share, 0…1
  std::function<bool()> cancelled = {};
};

// Runs source, quantized and rounded model side by side, one layer at a time. Memory: three
// residual streams (12 · D bytes a token), one layer of each, the embedding and head, three blocks
// of logits. Throws as Evaluate(), kInvalidArgument when the model is not quantized.
QualityReport MeasureQuality(const QualityOptions& options, const QualityCallbacks& callbacks = {});

// The page that quality.html is, of a report alone.
void WriteQualityPage(const QualityReport& report, const std::filesystem::path& file);

}  // namespace awq
