// awq quantize: a 16-bit checkpoint in, a 4-bit checkpoint out.
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "awq/api/quantize.h"
#include "awq/base/file.h"
#include "awq/cli/exit_code.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/progress.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

constexpr const char* kQualityGroup = "Quality passport";

struct QuantizeFlags {
  QuantizeOptions options;
  bool zero_point = true;
  bool method_given = false;
  bool no_clip = false;
  bool no_duo_scaling = false;
  std::string shard_size = "5GB";
  std::string log_jsonl;
  std::string memory_limit;
  bool dry_run = false;
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
  RawJson quality = nullptr;
  if (r.quality) {
    const Divergence& d = r.quality->quantized.divergence;
    quality = {{"kld_mean", d.mean},
               {"kld_p99", d.p99},
               {"top1", d.top1},
               {"perplexity", r.quality->quantized.perplexity},
               {"source_perplexity", r.quality->source_perplexity},
               {"rtn_kld_mean", r.quality->rounded.divergence.mean},
               {"tokens", r.quality->tokens},
               {"seconds", r.quality->seconds}};
  }
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
          {"resumed_layers", r.resumed_layers},
          {"already_complete", r.already_complete},
          {"quality", quality},
          {"peak_rss_bytes", PeakRss()},
          {"warnings", r.warnings}};
}

void PrintQuality(const QualityReport& q, const std::filesystem::path& page) {
  const Divergence& d = q.quantized.divergence;
  const double change = q.quantized.perplexity / q.source_perplexity - 1;
  Print(Cat("  quality   KLD ", FormatNumber("%.5f", d.mean), " (rounding ",
            FormatNumber("%.5f", q.rounded.divergence.mean), "), perplexity ",
            FormatNumber("%.3f", q.quantized.perplexity), " (", FormatNumber("%+.2f", 100 * change),
            " %), same top 1 ", FormatNumber("%.2f", 100 * d.top1), " %; ", q.tokens, " tokens in ",
            FormatSeconds(q.seconds), "\n            ", page.string(), "\n"));
}

void PrintSummary(const QuantizeFlags& flags, const QuantizeReport& r) {
  const QuantizeOptions& o = flags.options;
  if (r.already_complete) return Print(Cat(o.output.string(), " is complete already\n"));
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
  if (r.quality) PrintQuality(*r.quality, o.output / "quality.html");
}

RawJson ToJson(const QuantizePlan& p) {
  RawJson units = RawJson::array();
  for (const QuantizePlan::Unit& u : p.units) {
    units.push_back({{"name", u.name},
                     {"seconds", u.seconds},
                     {"memory_bytes", u.memory},
                     {"largest", u.largest}});
  }
  return {{"event", "plan"},
          {"seconds", p.seconds},
          {"memory_bytes", p.memory},
          {"memory_limit_bytes", p.memory_limit > 0 ? RawJson(p.memory_limit) : RawJson(nullptr)},
          {"disk_bytes", p.disk},
          {"free_disk_bytes", p.free_disk},
          {"activation_bytes", p.activation_bytes},
          {"output_bytes", p.output_bytes},
          {"moment_columns", p.moment_columns > 0 ? RawJson(p.moment_columns) : RawJson(nullptr)},
          {"calib_tokens", p.calib_tokens},
          {"flops", p.flops},
          {"units", units},
          {"warnings", p.warnings}};
}

void PrintPlan(const QuantizeOptions& o, const QuantizePlan& p) {
  std::string out = Cat(o.model.string(), " -> ", o.output.string(), ": nothing is written\n");
  const auto largest = std::max_element(p.units.begin(), p.units.end(),
                                        [](auto& a, auto& b) { return a.memory < b.memory; });
  out += Cat("  memory    ", FormatBytes(p.memory), " without file cache",
             p.memory_limit > 0 ? ", limit " + FormatBytes(p.memory_limit) : "", "; most in ",
             largest->name, ", ", largest->largest, "\n");
  if (p.moment_columns > 0) {
    out += Cat("  moments   in blocks of ", p.moment_columns, " columns, for the limit's sake\n");
  }
  out += Cat("  disk      ", FormatBytes(p.disk), " at most, of ", FormatBytes(p.free_disk),
             " free: activations ", FormatBytes(p.activation_bytes), ", output ",
             FormatBytes(p.output_bytes), "\n");
  out += Cat("  time      ", FormatSeconds(p.seconds), ", ", p.calib_tokens,
             " calibration tokens, at ", FormatNumber("%.0f", p.flops / 1e9),
             " GFLOP/s as measured now\n  units\n");
  for (size_t i = 0; i < p.units.size();) {
    size_t end = i + 1;
    while (end < p.units.size() && p.units[end].seconds == p.units[i].seconds &&
           p.units[end].memory == p.units[i].memory) {
      ++end;
    }
    const QuantizePlan::Unit& u = p.units[i];
    out += Cat("    ", Pad(end - i > 1 ? Cat(u.name, " … ", p.units[end - 1].name) : u.name, 26),
               u.memory > 0 ? Cat(FormatSeconds(u.seconds), end - i > 1 ? " each, " : ", ",
                                  FormatBytes(u.memory))
                            : "copied",
               "\n");
    i = end;
  }
  Print(out);
}

// What the run needs, and nothing else.
int RunPlan(const QuantizeFlags& flags) {
  QuantizeCallbacks callbacks;
  callbacks.warning = [](const std::string& w) { PrintErr("awq: warning: " + w + "\n"); };
  callbacks.cancelled = [] { return Interrupted(); };
  const QuantizePlan plan = PlanQuantize(flags.options, callbacks);
  if (flags.json) {
    PrintJson(ToJson(plan));
  } else {
    PrintPlan(flags.options, plan);
  }
  return 0;
}

RawJson ToJson(const std::vector<TradeOffPoint>& curve) {
  RawJson out = RawJson::array();
  for (const TradeOffPoint& p : curve) {
    out.push_back({{"bits", p.bits},
                   {"predicted_kld", p.predicted_kld},
                   {"parameters", p.linears},
                   {"chosen", p.chosen}});
  }
  return out;
}

std::string CurveTable(const std::vector<TradeOffPoint>& curve) {
  std::string out = "  bits a weight  predicted KLD  formats\n";
  for (const TradeOffPoint& p : curve) {
    double total = 0;
    for (const auto& [name, count] : p.linears) total += static_cast<double>(count);
    std::string formats;
    for (const auto& [name, count] : p.linears) {
      formats += Cat(formats.empty() ? "" : ", ", name, " ",
                     FormatNumber("%.0f", 100 * static_cast<double>(count) / total), " %");
    }
    out += Cat(p.chosen ? "> " : "  ", PadLeft(FormatNumber("%.3f", p.bits), 13), "  ",
               PadLeft(FormatNumber("%.5f", p.predicted_kld), 13), "  ", formats, "\n");
  }
  return out;
}

int RunQuantize(QuantizeFlags flags) {
  // What is freed goes back to the system instead of waiting in the heap, whose size would
  // otherwise creep above what is in use. A fixed value also keeps glibc from raising it.
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
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
  if (flags.dry_run) return RunPlan(flags);
  JsonlLog log(flags.log_jsonl);
  const auto progress = MakeQuantizeProgress(StderrTerminal());
  QuantizeCallbacks callbacks;
  StatusLine status(StderrTerminal());
  callbacks.progress = [&](const QuantizeEvent& e) {
    status.Clear();
    progress->OnEvent(e);
    log.Write(ToJson(e));
  };
  callbacks.warning = [&](const std::string& warning) {
    progress->OnWarning(warning);
    log.Write({{"event", "warning"}, {"message", warning}});
  };
  callbacks.weighing = [&](double done) {
    status.Show(Cat("weighing errors by gradients ", Bar(done, 24)));
  };
  callbacks.searching = [&](double done) {
    status.Show(Cat("measuring sensitivity ", Bar(done, 24)));
  };
  callbacks.curve = [&](const std::vector<TradeOffPoint>& curve) {
    status.Clear();
    if (!flags.json) Print(CurveTable(curve));
  };
  callbacks.measuring = [&](double done) {
    progress->Close();
    status.Show(Cat("measuring quality ", Bar(done, 24)));
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
    if (e.code() != ErrorCode::kCancelled) throw;
    PrintErr(Cat("awq: ", e.what(), "\n"));
    return kExitStopped;
  }
  progress->Close();
  status.Clear();
  if (o.curve_only) {
    if (flags.json) PrintJson({{"event", "curve"}, {"curve", ToJson(report.curve)}});
    return 0;
  }
  RawJson summary = Summary(flags, report);
  if (!report.curve.empty()) summary["curve"] = ToJson(report.curve);
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

void AddQuantize(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("quantize", "make a 4-bit checkpoint of a 16-bit one");
  auto flags = std::make_shared<QuantizeFlags>();
  AddWhat(*verb, *flags);
  AddHow(*verb, *flags);
  AddRunning(*verb, *flags);
  AddBudget(*verb, *flags);
  AddQuality(*verb, *flags);
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
      "written.\n\n"
      "Ctrl-C or SIGTERM stops within moments; OUTPUT.partial keeps the finished layers, as it "
      "does\n"
      "after a crash, a full disk or kill -9, and the same command with --resume goes on. A "
      "second\n"
      "Ctrl-C ends the process at once, which loses no more.");
  verb->callback([flags, &chosen] { chosen = [flags] { return RunQuantize(*flags); }; });
}

}  // namespace awq
