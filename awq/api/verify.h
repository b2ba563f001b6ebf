// Verify: whether a checkpoint is whole, sane, and still its source model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace awq {

struct VerifyOptions {
  std::filesystem::path model;
  // The 16-bit checkpoint that it was made from: adds the comparison of every linear, and of
  // logits.
  std::optional<std::filesystem::path> source = {};
  // Measures the numbers of quality.json again; needs the source, and the text they were measured
  // on unless it is the built-in one.
  bool remeasure = false;
  std::string eval_text = "builtin";
  std::string device = "auto";  // for the logits
  int threads = 0;              // 0: all cores
};

// A linear against its source, once the scales that AWQ moved into norms and neighbours are undone.
struct LinearError {
  std::string linear;         // module path
  double relative_error = 0;  // ‖Ŵ - W‖ / ‖W‖
};

struct LogitsCheck {
  int64_t tokens = 0;
  double kld_mean = 0;  // KL(source ‖ model), nats a token
  double top1 = 0;      // share of equal most likely tokens, 0…1
};

struct VerifyReport {
  std::vector<std::string>
      problems;                    // one sentence each, naming file and tensor; empty: all is well
  std::vector<std::string> notes;  // remarkable, but no fault
  int64_t files_hashed = 0;        // 0: there is no awq_manifest.json
  int64_t tensors_checked = 0;
  std::vector<LinearError> linears;        // with a source
  std::string passport;                    // the digest in quality.json; empty without one
  std::optional<LogitsCheck> logits = {};  // with a source, once weights are found sound
  bool ok() const { return problems.empty(); }
};

struct VerifyCallbacks {
  std::function<void(const std::string&)> progress = {};  // what is being checked
  std::function<bool()> cancelled = {};                   // asked before each layer and file
};

// Checks SHA-256 of files (awq_manifest.json, if there is one) and the quality passport, if there
// is one; presence, shapes and types of all tensors; values: finite weights, norms and scales,
// scales that are not zero, zero points in range, codes that differ. With a source: a linear is a
// problem from 50 % relative error on, logits from a mean divergence of 1 nat. Faults found are
// reported, not thrown. Throws what keeps it from looking: kNotFound (folder, config.json),
// kCorrupt (config.json, headers), kUnsupported, kInvalidArgument (a source of another shape), kIo,
// kCancelled.
VerifyReport Verify(const VerifyOptions& options, const VerifyCallbacks& callbacks = {});

}  // namespace awq
