// awq bench: how fast a model runs here.
#include <algorithm>
#include <memory>

#include "awq/api/bench.h"
#include "awq/base/error.h"
#include "awq/cli/flags.h"
#include "awq/cli/interrupt.h"
#include "awq/cli/terminal.h"
#include "awq/cli/verbs.h"

namespace awq {
namespace {

std::string Row(const BenchResult& r) {
  const auto ms = [](double seconds) { return FormatNumber("%10.3f", 1e3 * seconds); };
  return Cat("  ", Pad(r.name, 8), PadLeft(std::to_string(r.batch), 6),
             PadLeft(std::to_string(r.tokens), 8), ms(r.median), ms(r.least), ms(r.most),
             FormatNumber("%12.1f", r.tokens_per_second), "\n");
}

// What an operation is near to: the limit it uses most of, or neither.
std::string Verdict(double bandwidth, double compute) {
  if (std::max(bandwidth, compute) < 0.3) return "latency";
  return bandwidth > compute ? "memory" : "arithmetic";
}

std::string Explain(const BenchReport& report) {
  std::string out =
      Cat("\n  this device reaches ", FormatNumber("%.0f GB/s", 1e-9 * report.peak_bytes),
          " (copy) and ", FormatNumber("%.1f TFLOP/s", 1e-12 * report.peak_flops),
          " (matrix product)\n");
  for (const BenchResult& r : report.results) {
    double total = 0;
    for (const BenchOp& op : r.ops) total += op.seconds;
    out += Cat("\n  ", r.name, ", batch ", r.batch, ", ", r.tokens,
               " tokens: ", FormatNumber("%.3f ms", 1e3 * total), " one operation at a time, ",
               FormatNumber("%.3f ms", 1e3 * r.median), " as it runs\n  ", Pad("", 22),
               " calls   us each     share      GB/s      %   TFLOP/s      %  bound by\n");
    for (const BenchOp& op : r.ops) {
      const double bandwidth = op.bytes / op.seconds;
      const double compute = op.flops / op.seconds;
      out += Cat("  ", Pad(op.name, 22), PadLeft(std::to_string(op.calls), 6),
                 FormatNumber("%10.2f", 1e6 * op.seconds / static_cast<double>(op.calls)),
                 FormatNumber("%9.1f%%", 100 * op.seconds / total),
                 FormatNumber("%10.0f", 1e-9 * bandwidth),
                 FormatNumber("%6.0f%%", 100 * bandwidth / report.peak_bytes),
                 FormatNumber("%10.1f", 1e-12 * compute),
                 FormatNumber("%6.0f%%", 100 * compute / report.peak_flops), "  ",
                 Verdict(bandwidth / report.peak_bytes, compute / report.peak_flops), "\n");
    }
  }
  return out;
}

std::string MemoryLine(const BenchResult& r, int64_t context_bytes) {
  const BenchMemory& m = *r.memory;
  return Cat("  batch ", r.batch, ": weights ", FormatBytes(m.weights), ", KV cache ",
             FormatBytes(m.kv_cache), ", workspace ", FormatBytes(m.workspace),
             "; the device's own ", FormatBytes(context_bytes), "\n");
}

RawJson ToJson(const BenchOptions& options, const BenchReport& report) {
  RawJson out = {{"model", options.model.string()},
                 {"device", report.device},
                 {"dtype", report.dtype},
                 {"kv_type", report.kv_type},
                 {"head_bits", report.head_bits},
                 {"deterministic", options.deterministic},
                 {"sample", options.sample},
                 {"contexts", options.contexts},
                 {"load_seconds", report.load_seconds},
                 {"weight_bytes", report.weight_bytes},
                 {"context_bytes", report.context_bytes},
                 {"results", RawJson::array()}};
  for (const BenchResult& r : report.results) {
    out["results"].push_back({{"name", r.name},
                              {"batch", r.batch},
                              {"tokens", r.tokens},
                              {"median_seconds", r.median},
                              {"min_seconds", r.least},
                              {"max_seconds", r.most},
                              {"tokens_per_second", r.tokens_per_second}});
    if (r.memory) {
      out["results"].back()["memory"] = {{"weights", r.memory->weights},
                                         {"kv_cache", r.memory->kv_cache},
                                         {"workspace", r.memory->workspace}};
    }
    for (const BenchOp& op : r.ops) {
      out["results"].back()["ops"].push_back({{"name", op.name},
                                              {"calls", op.calls},
                                              {"seconds", op.seconds},
                                              {"bytes", op.bytes},
                                              {"flops", op.flops}});
    }
  }
  return out;
}

int RunBench(const BenchOptions& options, bool json) {
  bool first = true;
  const BenchReport report = Bench(
      options,
      [&](const BenchResult& r) {
        if (json) return;
        if (first)
          PrintErr("  ms              batch  tokens    median       min       max    tokens/s\n");
        first = false;
        Print(Row(r));
      },
      [] { return Interrupted(); });
  if (json) {
    PrintJson(ToJson(options, report));
  } else {
    PrintErr(Cat("  ", report.device, ", activations ", report.dtype, "; loaded ",
                 FormatBytes(report.weight_bytes), " in ",
                 FormatNumber("%.1f s", report.load_seconds), "\n"));
    for (const BenchResult& r : report.results) {
      if (r.memory) PrintErr(MemoryLine(r, report.context_bytes));
    }
    if (options.explain) Print(Explain(report));
  }
  return 0;
}

}  // namespace

void AddBench(CLI::App& app, Action& chosen) {
  CLI::App* verb = app.add_subcommand("bench", "measure how fast a model runs here");
  auto options = std::make_shared<BenchOptions>();
  auto json = std::make_shared<bool>(false);
  verb->add_option("MODEL", options->model, "checkpoint folder")->required();
  verb->add_option("--prompt", options->prompts, "lengths of prompts to read, e.g. 512,4096")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--batch", options->batches, "numbers of sequences that write side by side")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--ctx", options->contexts,
                   "tokens each has read before; several: of the sequences in turn")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--tokens", options->tokens, "tokens each writes")->capture_default_str();
  verb->add_option("--repeats", options->repeats, "times a prompt is read")->capture_default_str();
  verb->add_option("--chunk", options->chunk, "prompt tokens of one step")->capture_default_str();
  verb->add_flag("--same-layers", options->same_layers,
                 "all layers get the weights of the first (awq_synthetic --one-layer)");
  AddDeviceFlags(*verb, options->device, options->threads);
  AddDtypeFlag(*verb, options->dtype, "the device's choice");
  AddKvTypeFlag(*verb, options->kv_type);
  AddHeadFlag(*verb, options->head_bits, kHeadBitsAuto);
  AddDeterministicFlag(*verb, options->deterministic);
  verb->add_flag("--sample", options->sample,
                 "draw tokens, with top-k 50 and top-p 0.95, instead of taking the most likely");
  verb->add_flag("--explain", options->explain,
                 "also what each operation takes by itself, in a pass of its own, and what this "
                 "device would allow");
  verb->add_flag("--json", *json, "print one JSON object");
  verb->footer(
      "Example:\n  awq bench models/demo --prompt 128,512 --batch 1,8\n\n"
      "Prefill: one prompt, median of the repeats. Decode: one step of the whole batch, median of\n"
      "the steps; the tokens a second are those of all sequences together. Memory is reported for\n"
      "devices that have their own.");
  verb->callback(
      [options, json, &chosen] { chosen = [options, json] { return RunBench(*options, *json); }; });
}

}  // namespace awq
