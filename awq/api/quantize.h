// Quantize: turns a 16- or 32-bit checkpoint into a 4-bit one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace awq {

struct QuantizeOptions {
  std::filesystem::path model;  // a Hugging Face folder
  std::filesystem::path
      output;  // appears only when complete; must not exist, or be an empty folder
  std::string method =
      "joint";  // "joint", "gptq", "awq" (arXiv:2306.00978), "rtn" (no calibration)
  std::string format = "awq_gemm";  // or "compressed-tensors"
  int bits = 4;
  int64_t group = 128;              // 32, 64, 128; -1: one group a row (compressed-tensors alone)
  bool symmetric = false;           // no zero points
  std::string calib = "builtin";    // or a file: text, or JSONL with "text" or "tokens"
  int64_t max_calib_samples = 128;  // blocks
  int64_t max_calib_seq_len = 512;  // tokens a block
  bool clip = true;                 // search for clipped ranges
  bool duo_scaling = true;          // let scales depend on weights as well as on activations
  bool autoawq_parity = false;      // make AutoAWQ's own choices, faults included, for verification
  uint64_t seed = 0;                // order of calibration texts
  int64_t shard_bytes = int64_t{5} * 1000 * 1000 * 1000;
  std::string device = "auto";
  int threads = 0;  // 0: all cores
};

// One linear is done (or, with an empty linear, a layer's search begins).
struct QuantizeEvent {
  int64_t layer = 0;
  int64_t num_layers = 0;
  std::string linear;       // "q", "k", … as in RoleName
  std::string alpha;        // chosen scale ratio, e.g. "0.65 duo"; "-" for identity or none
  double clipped = 0;       // share of groups whose range was clipped, 0…1
  double error_before = 0;  // ‖(Ŵ - W)X‖² / ‖WX‖² of plain rounding
  double error_after = 0;   // the same of what was written
  double seconds = 0;       // since the start
  double eta_seconds = 0;   // estimated remaining; 0 before the first layer is done
};

struct QuantizeReport {
  std::vector<QuantizeEvent> linears;
  int64_t source_bytes = 0;  // tensor data read and written
  int64_t output_bytes = 0;
  double bits_per_weight = 0;  // of the quantized linears, scales and zeros included
  int64_t calib_tokens = 0;
  double seconds = 0;
  std::vector<std::string> warnings;
};

struct QuantizeCallbacks {
  std::function<void(const QuantizeEvent&)> progress;  // from the calling thread
  std::function<bool()> cancelled;                     // polled often; true stops with kCancelled
  std::function<void(const std::string&)> warning;
};

// Throws Error: kInvalidArgument (options, existing output), kNotFound, kCorrupt (names file and
// tensor; also NaN weights), kUnsupported, kIo (disk full), kCancelled, kInternal. Nothing is left
// behind unless it succeeds.
QuantizeReport Quantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks = {});

}  // namespace awq
