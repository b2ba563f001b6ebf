#include "awq/api/internal/quantize_options.h"

#include <filesystem>

#include "awq/backend/make_backend.h"
#include "awq/base/error.h"
#include "awq/base/json.h"

namespace awq {

MethodOptions MakeMethodOptions(const QuantizeOptions& options, const PackFormat& format,
                                DType model_type) {
  MethodOptions out;
  out.rule.scheme = {.bits = options.bits, .group = options.group, .symmetric = options.symmetric};
  out.rule.scale_type = format.ScaleType(model_type);
  out.effort = options.effort;
  out.clip = options.clip;
  out.duo_scaling = options.duo_scaling;
  return out;
}

bool HasBudget(const QuantizeOptions& options) {
  return options.target_bits || options.max_kld || options.curve_only;
}

void CheckOptions(const QuantizeOptions& options) {
  AWQ_CHECK(options.bits == 4 || options.bits == 8, kInvalidArgument, "--w-bit ", options.bits,
            ": expected 4 (or 8 with compressed-tensors)");
  const bool group =
      options.group == -1 || options.group == 32 || options.group == 64 || options.group == 128;
  AWQ_CHECK(group, kInvalidArgument, "--group-size ", options.group,
            ": expected 32, 64, 128 or -1 (one group a row)");
  AWQ_CHECK(options.effort >= 0 && options.effort <= 3, kInvalidArgument, "--effort ",
            options.effort, ": expected 0 (fastest) to 3 (best)");
  AWQ_CHECK(!options.target_bits || !options.max_kld, kInvalidArgument,
            "--bits and --max-kld exclude each other");
  AWQ_CHECK(
      !HasBudget(options) || (options.bits == 4 && options.group > 0 && !options.autoawq_parity),
      kInvalidArgument,
      "a budget goes with --w-bit 4, a --group-size above 0, and without "
      "--autoawq-parity");
  AWQ_CHECK(options.eval_tokens >= 0, kInvalidArgument, "--eval-tokens: expected 0 or more, found ",
            options.eval_tokens);
  AWQ_CHECK(options.eval_text == "builtin" || std::filesystem::exists(options.eval_text), kNotFound,
            options.eval_text, ": no such file (--eval-text)");
  AWQ_CHECK(options.shard_bytes > 0, kInvalidArgument, "--shard-size: expected a positive size");
  AWQ_CHECK(!options.resume || !options.restart, kInvalidArgument,
            "--resume and --restart exclude each other");
  AWQ_CHECK(!options.autoawq_parity || options.method == "awq", kInvalidArgument,
            "--autoawq-parity goes with --method awq, not ", options.method);
}

std::string DescribeOptions(const QuantizeOptions& o) {
  RawJson json = {{"method", o.autoawq_parity ? "awq, AutoAWQ parity" : o.method},
                  {"format", o.format},
                  {"w_bit", o.bits},
                  {"group_size", o.group},
                  {"zero_point", !o.symmetric},
                  {"calib", std::filesystem::path(o.calib).filename().string()},
                  {"calib_column", o.calib_column},
                  {"calib_bos", o.calib_bos},
                  {"max_calib_samples", o.max_calib_samples},
                  {"max_calib_seq_len", o.max_calib_seq_len},
                  {"effort", o.effort},
                  {"clip", o.clip},
                  {"duo_scaling", o.duo_scaling},
                  {"seed", o.seed}};
  if (o.target_bits) json["bits"] = *o.target_bits;
  if (o.max_kld) json["max_kld"] = *o.max_kld;
  return json.dump();
}

std::unique_ptr<Backend> MakeHostBackend(const QuantizeOptions& options) {
  AWQ_CHECK(options.device != "cuda", kUnsupported,
            "device cuda: quantization runs on the CPU; supported: auto, cpu, ref");
  return MakeBackend(options.device == "auto" ? "cpu" : options.device, options.threads);
}

}  // namespace awq
