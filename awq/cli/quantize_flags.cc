#include "awq/cli/quantize_flags.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "awq/base/error.h"
#include "awq/cli/flags.h"

namespace awq {
namespace {

constexpr const char* kQualityGroup = "Quality passport";

// Where the hub's own tools keep what they have fetched.
std::vector<std::filesystem::path> HubCaches() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const auto cache = variable("HF_HUB_CACHE"); !cache.empty()) return {cache};
  if (const auto home = variable("HF_HOME"); !home.empty()) return {home / "hub"};
  if (const auto cache = variable("XDG_CACHE_HOME"); !cache.empty()) {
    return {cache / "huggingface" / "hub"};
  }
  const auto home = variable("HOME");
  if (home.empty()) return {};
  return {home / ".cache" / "huggingface" / "hub"};
}

void AddWhat(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  verb.add_option("MODEL", o.model, "16- or 32-bit checkpoint folder")->required();
  verb.add_option("-o,--output", o.output,
                  "folder to write; appears only when complete, must not exist or be empty");
  verb.add_option("--format", o.format, "awq_gemm (as AutoAWQ writes it) or compressed-tensors")
      ->capture_default_str();
  verb.add_option("--w-bit", o.bits, "bits of a weight")->capture_default_str();
  verb.add_option("--group-size", o.group,
                  "inputs that share a scale: 32, 64, 128; -1: a whole row (compressed-tensors)")
      ->capture_default_str();
  verb.add_flag("--zero-point,!--no-zero-point", f.zero_point,
                "ranges with a zero point (default), or symmetric ones");
  verb.add_option("--shard-size", f.shard_size, "largest file, e.g. 5GB or 500MiB")
      ->capture_default_str();
}

void AddRunning(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  verb.add_flag("--dry-run", f.dry_run,
                "print what the run will need of memory, disk and time, and do nothing")
      ->group("Long runs");
  verb.add_option(
          "--memory-limit", f.memory_limit,
          "most memory to hold, file cache not counted, e.g. 4GiB; what finds no room goes\n"
          "to files in OUTPUT.partial [no limit]")
      ->group("Long runs");
  verb.add_flag("--resume", o.resume,
                "go on behind the layers that an interrupted run has finished; the output is the\n"
                "same to the byte. Begins if there is nothing to resume")
      ->group("Long runs");
  verb.add_flag("--restart", o.restart, "discard what an interrupted run has left")
      ->group("Long runs");
}

void AddBudget(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  constexpr const char* kGroup = "Budget";
  verb.add_option(
          "--bits", o.target_bits,
          "bits a weight of the linears, scales included: choose group 128, 64, 32, 8 or 16\n"
          "bits set by set (awq_gemm: 4 or 16 bits)")
      ->group(kGroup);
  verb.add_option("--max-kld", o.max_kld,
                  "the fewest bits whose predicted KL divergence is at most this, nats a token")
      ->check(CLI::PositiveNumber)
      ->group(kGroup);
  verb.add_flag("--curve", o.curve_only, "only print what bits buy; write nothing")->group(kGroup);
  verb.add_option("--reuse", o.reuse,
                  "folder that keeps what was measured, so that another point needs no search")
      ->group(kGroup);
}

void AddQuality(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  verb.add_flag("--passport,!--no-passport", o.passport,
                "measure the result and add quality.json and quality.html (default)")
      ->group(kQualityGroup);
  verb.add_option("--eval-text", o.eval_text, "text to measure on: builtin, or a UTF-8 file")
      ->capture_default_str()
      ->group(kQualityGroup);
  verb.add_option("--eval-tokens", o.eval_tokens,
                  "so many tokens of it [a tenth of the run's time, 1024 to 8192]")
      ->check(CLI::PositiveNumber)
      ->group(kQualityGroup);
}

void AddHow(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  const auto method = [&f](const std::string& name) {
    f.options.method = name;
    f.method_given = true;
  };
  verb.add_option_function<std::string>(
          "--method", method,
          "joint: AWQ's scales, then rounding by second moments behind the quantized prefix;\n"
          "gptq (arXiv:2210.17323); awq (arXiv:2306.00978); rtn: rounding, no calibration")
      ->default_str(o.method)
      ->group("Method");
  verb.add_option("--calib", o.calib,
                  "builtin; a file or folder: text, JSONL, JSON, CSV, TSV, also .gz and .zst;\n"
                  "- for standard input; a data set in a local hub cache")
      ->capture_default_str()
      ->group("Calibration");
  verb.add_option("--calib-column", o.calib_column,
                  "key or column of the samples [text, tokens, messages]")
      ->group("Calibration");
  verb.add_flag("--calib-bos,!--no-calib-bos", o.calib_bos,
                "blocks begin with BOS if the tokenizer adds one (default)")
      ->group("Calibration");
  verb.add_option("--max-calib-samples", o.max_calib_samples, "calibration blocks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Calibration");
  verb.add_option("--max-calib-seq-len", o.max_calib_seq_len, "tokens of a block")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Calibration");
  verb.add_option("--effort", o.effort,
                  "0 fastest … 3 best: how finely joint and awq search (docs/quality.md)")
      ->check(CLI::Range(0, 3))
      ->capture_default_str()
      ->group("Method");
  verb.add_flag("--no-clip", f.no_clip, "do not search for clipped ranges")->group("Method");
  verb.add_flag("--no-duo-scaling", f.no_duo_scaling, "scales from activations alone, not weights")
      ->group("Method");
  verb.add_option("--seed", o.seed, "order of calibration texts")
      ->capture_default_str()
      ->group("Calibration");
  verb.add_flag("--autoawq-parity", o.autoawq_parity,
                "AutoAWQ's own choices, faults included, for verification")
      ->group("Method");
}

}  // namespace

void AddQuantizeFlags(CLI::App& verb, QuantizeFlags& flags) {
  AddWhat(verb, flags);
  AddHow(verb, flags);
  AddRunning(verb, flags);
  AddBudget(verb, flags);
  AddQuality(verb, flags);
}

void ReadQuantizeFlags(QuantizeFlags& flags) {
  QuantizeOptions& o = flags.options;
  if (o.autoawq_parity && !flags.method_given) o.method = "awq";
  o.symmetric = !flags.zero_point;
  o.clip = !flags.no_clip;
  o.duo_scaling = !flags.no_duo_scaling;
  o.shard_bytes = ParseBytes(flags.shard_size);
  if (!flags.memory_limit.empty()) o.memory_limit = ParseBytes(flags.memory_limit);
  o.hub_caches = HubCaches();
  AWQ_CHECK(o.curve_only || !o.output.empty(), kInvalidArgument,
            "quantize: --output FOLDER is missing");
}

}  // namespace awq
