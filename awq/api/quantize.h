// Quantize: turns a 16- or 32-bit checkpoint into a 4-bit one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "awq/api/quality.h"

namespace awq {

struct QuantizeOptions {
  std::filesystem::path model;  // a Hugging Face folder
  // Appears only when complete; must not exist, or be an empty folder. Work goes on in
  // OUTPUT.partial beside it.
  std::filesystem::path output;
  std::string method =
      "joint";  // "joint", "gptq", "awq" (arXiv:2306.00978), "rtn" (no calibration)
  std::string format = "awq_gemm";  // or "compressed-tensors"
  int bits = 4;
  int64_t group = 128;     // 32, 64, 128; -1: one group a row (compressed-tensors alone)
  bool symmetric = false;  // no zero points
  // Or a file, a folder, "-" (standard input), a data set in a local hub cache: docs/quantize.md.
  std::string calib = "builtin";
  std::string calib_column = {};    // of its samples; empty: "text", "tokens", "messages", …
  bool calib_bos = true;            // blocks begin with BOS, if the tokenizer adds one to texts
  int64_t max_calib_samples = 128;  // blocks
  int64_t max_calib_seq_len = 512;  // tokens a block
  int effort = 2;                   // 0 fastest … 3 best; of "awq" and "joint"
  bool clip = true;                 // search for clipped ranges
  bool duo_scaling = true;          // let scales depend on weights as well as on activations
  bool autoawq_parity = false;      // make AutoAWQ's own choices, faults included, for verification
  uint64_t seed = 0;                // order of calibration texts
  std::vector<std::filesystem::path> hub_caches = {};  // where data sets of the hub are looked for
  int64_t shard_bytes = int64_t{5} * 1000 * 1000 * 1000;
  std::string device = "auto";
  int threads = 0;  // 0: all cores; the output does not depend on it
  // Go on behind what an interrupted run of the same input, options and program has finished, or
  // begin if there is none; the output is the same to the byte.
  bool resume = false;
  bool restart = false;  // discard what an interrupted run has left
  // Bytes of memory that the process may hold, without what the system caches of files; 0: no
  // limit. Activations that find no room go to files. The output depends on it only where moments
  // have to be cut into blocks, of which there is a warning.
  int64_t memory_limit = 0;
  // Formats chosen set by set (q, k, v together; gate, up together) by what each costs the model
  // (docs/budget.md), with `group` as the largest group: the least divergence within so many bits a
  // weight, or the fewest bits for at most so much predicted KL divergence. At most one of the two.
  std::optional<double> target_bits = {};
  std::optional<double> max_kld = {};
  std::filesystem::path reuse = {};  // a folder that keeps what was measured for the choice
  bool curve_only = false;           // measure and choose, but do not quantize
  // quality.json and quality.html (docs/passport.md): measured on `eval_text`, "builtin" or a file,
  // on at most eval_tokens tokens; 0: what a tenth of the run's time allows, 1024 to 8192.
  bool passport = true;
  std::string eval_text = "builtin";
  int64_t eval_tokens = 0;
};

// What a run will need; estimates.
struct QuantizePlan {
  struct Unit {
    std::string name;  // "layer 3"; the last is what is not quantized
    double seconds = 0;
    int64_t memory = 0;   // bytes
    std::string largest;  // the step that needs it: "down: moments and weights"
  };
  std::vector<Unit> units;
  double seconds = 0;            // the units, and reading the source once to identify it
  int64_t memory = 0;            // bytes: the most that the process holds, without file cache
  int64_t memory_limit = 0;      // 0: none
  int64_t disk = 0;              // bytes: the most that OUTPUT.partial holds
  int64_t free_disk = 0;         // bytes, where OUTPUT will be
  int64_t activation_bytes = 0;  // of it, until the last layer is done
  int64_t output_bytes = 0;      // of it
  int64_t moment_columns = 0;    // 0: whole moments; else blocks of so many columns
  int64_t calib_tokens = 0;
  double flops = 0;  // f32 products a second, as measured
  std::vector<std::string> warnings;
};

// One linear is done (or, with an empty linear, a layer's search begins).
struct QuantizeEvent {
  int64_t layer = 0;
  int64_t num_layers = 0;
  int64_t layer_linears = 0;  // of this layer
  std::string linear;         // "q", "k", … as in RoleName
  std::string alpha;          // chosen scale ratio, e.g. "0.65 duo"; "-" for identity or none
  double clipped = 0;         // share of groups whose range was clipped, 0…1
  double error_before = 0;    // ‖(Ŵ - W)X‖² / ‖WX‖² of plain rounding
  double error_after = 0;     // the same of what was written
  double seconds = 0;         // since the start
  double eta_seconds = 0;     // estimated remaining; 0 before the first layer is done
};

// A point of the trade-off that `target_bits` and `max_kld` choose from.
struct TradeOffPoint {
  double bits = 0;                         // a weight of the linears, scales and zeros included
  double predicted_kld = 0;                // nats a token
  std::map<std::string, int64_t> linears;  // parameters by format, e.g. "4-bit g128"
  bool chosen = false;
};

struct QuantizeReport {
  std::vector<QuantizeEvent> linears;
  int64_t source_bytes = 0;  // tensor data read and written
  int64_t output_bytes = 0;
  double bits_per_weight = 0;  // of the quantized linears, scales and zeros included
  int64_t calib_tokens = 0;
  double seconds = 0;
  int64_t resumed_layers = 0;        // of an earlier run; their events came at once
  bool already_complete = false;     // --resume found the finished output; nothing was done
  std::vector<TradeOffPoint> curve;  // with a budget; from the fewest bits
  std::optional<QualityReport> quality = {};  // with a passport; its seconds are not in `seconds`
  std::vector<std::string> warnings;
};

struct QuantizeCallbacks {
  std::function<void(const QuantizeEvent&)> progress;  // from the calling thread
  std::function<void(double done)> weighing;           // before the first layer, of "joint", 0…1
  std::function<void(double done)> measuring;          // the passport's share, 0…1
  std::function<void(double done)> searching;          // the same of what a budget measures
  std::function<void(const std::vector<TradeOffPoint>&)> curve;  // before quantization begins
  std::function<bool()> cancelled;  // polled often; true stops with kCancelled
  std::function<void(const std::string&)> warning;
};

// Throws Error: kInvalidArgument (options; existing output; an interrupted run that is neither
// resumed nor discarded, or one of another input, option or version, which is named), kNotFound,
// kCorrupt (names file and tensor; also NaN weights), kUnsupported, kIo (disk full), kOutOfMemory,
// kCancelled, kInternal. After kCancelled, kIo and kOutOfMemory, or a crash, OUTPUT.partial keeps
// the finished layers for `resume`; after anything else, and before the first layer is done,
// nothing is left behind.
QuantizeReport Quantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks = {});

// What that would need. Measures this machine for about a second and writes nothing. Throws what
// Quantize() does before it begins to work.
QuantizePlan PlanQuantize(const QuantizeOptions& options, const QuantizeCallbacks& callbacks = {});

}  // namespace awq
