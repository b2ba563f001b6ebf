// awq quantize: a 16-bit checkpoint in, a 4-bit checkpoint out.
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>

#include "awq/api/quantize.h"
#include "awq/base/file.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/progress.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

struct QuantizeFlags {
  QuantizeOptions options;
  bool zero_point = true;
  bool method_given = false;
  bool no_clip = false;
  bool no_duo_scaling = false;
  std::string shard_size = "5GB";
  std::string log_jsonl;
  bool json = false;
};

// JSON has no NaN or infinity.
RawJson Number(double value) { return std::isfinite(value) ? RawJson(value) : RawJson(nullptr); }

RawJson ToJson(const QuantizeEvent& e) {
  RawJson out = {{"event", e.linear.empty() ? "layer" : "linear"},
                 {"layer", e.layer},
                 {"layers", e.num_layers}};
  if (!e.linear.empty()) {
    out.update({{"linear", e.linear},
                {"alpha", e.alpha},
                {"clip", Number(e.clipped)},
                {"error_before", Number(e.error_before)},
                {"error_after", Number(e.error_after)}});
  }
  out.update({{"seconds", e.seconds}, {"eta_seconds", e.eta_seconds}});
  return out;
}

// One JSON object a line, each written at once, so that a run can be followed and survives as it
// was.
class JsonlLog {
 public:
  explicit JsonlLog(const std::string& file) {
    if (!file.empty()) out_.emplace(file);
  }
  void Write(const RawJson& json) {
    if (out_) out_->Write(json.dump(-1, ' ', false, RawJson::error_handler_t::replace) + "\n");
  }
  void Close() {
    if (out_) out_->Close();
  }

 private:
  std::optional<FileWriter> out_;
};

struct MeanErrors {
  double before = 0;
  double after = 0;
};
MeanErrors Mean(const std::vector<QuantizeEvent>& linears) {
  MeanErrors out;
  for (const QuantizeEvent& e : linears) {
    out.before += e.error_before / static_cast<double>(linears.size());
    out.after += e.error_after / static_cast<double>(linears.size());
  }
  return out;
}

RawJson Summary(const QuantizeFlags& flags, const QuantizeReport& r) {
  const QuantizeOptions& o = flags.options;
  const MeanErrors errors = Mean(r.linears);
  return {{"event", "done"},
          {"model", o.model.string()},
          {"output", o.output.string()},
          {"method", o.method},
          {"format", o.format},
          {"source_bytes", r.source_bytes},
          {"output_bytes", r.output_bytes},
          {"bits_per_weight", r.bits_per_weight},
          {"linears", r.linears.size()},
          {"error_before", Number(errors.before)},
          {"error_after", Number(errors.after)},
          {"calib_tokens", r.calib_tokens},
          {"seconds", r.seconds},
          {"peak_rss_bytes", PeakRss()},
          {"warnings", r.warnings}};
}

void PrintSummary(const QuantizeFlags& flags, const QuantizeReport& r) {
  const QuantizeOptions& o = flags.options;
  const MeanErrors errors = Mean(r.linears);
  const auto share =
      100 * static_cast<double>(r.output_bytes) / static_cast<double>(r.source_bytes);
  Print(Cat(o.model.string(), " -> ", o.output.string(), "\n  size      ",
            FormatBytes(r.source_bytes), " -> ", FormatBytes(r.output_bytes), " (",
            FormatNumber("%.1f", share), " %)\n  linears   ", r.linears.size(), ", ",
            FormatNumber("%.2f", r.bits_per_weight), " bits a weight with scales and zeros, ",
            o.format, "\n  error     ", FormatNumber("%.2e", errors.before), " -> ",
            FormatNumber("%.2e", errors.after), " (mean; rounding -> written)\n  time      ",
            FormatSeconds(r.seconds), ", ", r.calib_tokens, " calibration tokens\n  peak RSS  ",
            FormatBytes(PeakRss()), "\n"));
}

int RunQuantize(QuantizeFlags flags) {
  QuantizeOptions& o = flags.options;
  if (o.autoawq_parity && !flags.method_given) o.method = "awq";
  o.symmetric = !flags.zero_point;
  o.clip = !flags.no_clip;
  o.duo_scaling = !flags.no_duo_scaling;
  o.shard_bytes = ParseBytes(flags.shard_size);
  JsonlLog log(flags.log_jsonl);
  const auto progress = MakeQuantizeProgress(StderrTerminal());
  QuantizeCallbacks callbacks;
  callbacks.progress = [&](const QuantizeEvent& e) {
    progress->OnEvent(e);
    log.Write(ToJson(e));
  };
  callbacks.warning = [&](const std::string& warning) {
    progress->OnWarning(warning);
    log.Write({{"event", "warning"}, {"message", warning}});
  };
  callbacks.cancelled = [&] {
    progress->Tick();
    return Interrupted();
  };
  QuantizeReport report;
  try {
    report = Quantize(o, callbacks);
  } catch (const Error& e) {
    progress->Close();
    log.Write({{"event", "error"}, {"code", ErrorCodeName(e.code())}, {"message", e.what()}});
    throw;
  }
  progress->Close();
  const RawJson summary = Summary(flags, report);
  log.Write(summary);
  log.Close();
  if (flags.json) {
    PrintJson(summary);
  } else {
    PrintSummary(flags, report);
  }
  return 0;
}

void AddWhat(CLI::App& verb, QuantizeFlags& f) {
  QuantizeOptions& o = f.options;
  verb.add_option("MODEL", o.model, "16- or 32-bit checkpoint folder")->required();
  verb.add_option("-o,--output", o.output,
                  "folder to write; appears only when complete, must not exist or be empty")
      ->required();
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
                  "builtin, or a file: plain text, or JSONL with \"text\" or \"tokens\"")
      ->capture_default_str()
      ->group("Method");
  verb.add_option("--max-calib-samples", o.max_calib_samples, "calibration blocks")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Method");
  verb.add_option("--max-calib-seq-len", o.max_calib_seq_len, "tokens of a block")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group("Method");
  verb.add_flag("--no-clip", f.no_clip, "do not search for clipped ranges")->group("Method");
  verb.add_flag("--no-duo-scaling", f.no_duo_scaling, "scales from activations alone, not weights")
      ->group("Method");
  verb.add_option("--seed", o.seed, "order of calibration texts")
      ->capture_default_str()
      ->group("Method");
  verb.add_flag("--autoawq-parity", o.autoawq_parity,
                "AutoAWQ's own choices, faults included, for verification")
      ->group("Method");
}

}  // namespace

void AddQuantize(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("quantize", "make a 4-bit checkpoint of a 16-bit one");
  auto flags = std::make_shared<QuantizeFlags>();
  AddWhat(*verb, *flags);
  AddHow(*verb, *flags);
  AddDeviceFlags(*verb, flags->options.device, flags->options.threads);
  verb->add_option("--log-jsonl", flags->log_jsonl,
                   "also write events to FILE, a JSON object a line");
  verb->add_flag("--json", flags->json, "print the summary as one JSON object");
  verb->footer(
      "Example:\n  awq quantize models/demo -o demo-4bit --group-size 64\n\n"
      "Progress goes to stderr: a table on a terminal, a line for each linear elsewhere. \"error\" "
      "is\n"
      "the squared error of a linear's outputs as a share of the outputs, by plain rounding and "
      "as\n"
      "written. Ctrl-C stops cleanly and writes nothing.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunQuantize(*flags); }; });
}

}  // namespace awq
