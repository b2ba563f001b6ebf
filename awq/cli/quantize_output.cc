#include "awq/cli/quantize_output.h"

#include <algorithm>

#include "awq/base/error.h"
#include "awq/cli/terminal.h"

namespace awq {
namespace {

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

void PrintQuality(const QualityReport& q, const std::filesystem::path& page) {
  const Divergence& d = q.quantized.divergence;
  const double change = q.quantized.perplexity / q.source_perplexity - 1;
  Print(Cat("  quality   KLD ", FormatNumber("%.5f", d.mean), " (rounding ",
            FormatNumber("%.5f", q.rounded.divergence.mean), "), perplexity ",
            FormatNumber("%.3f", q.quantized.perplexity), " (", FormatNumber("%+.2f", 100 * change),
            " %), same top 1 ", FormatNumber("%.2f", 100 * d.top1), " %; ", q.tokens, " tokens in ",
            FormatSeconds(q.seconds), "\n            ", page.string(), "\n"));
}

}  // namespace

RawJson ToJson(const QuantizeEvent& e) {
  RawJson out = {{"event", e.linear.empty() ? "layer" : "linear"},
                 {"layer", e.layer},
                 {"layers", e.num_layers}};
  if (!e.linear.empty()) {
    out.update({{"linear", e.linear},
                {"alpha", e.alpha},
                {"clip", FiniteOrNull(e.clipped)},
                {"error_before", FiniteOrNull(e.error_before)},
                {"error_after", FiniteOrNull(e.error_after)}});
  }
  out.update({{"seconds", e.seconds}, {"eta_seconds", e.eta_seconds}});
  return out;
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

RawJson ToJson(const QuantizeOptions& o, const QuantizeReport& r) {
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
  RawJson out = {{"event", "done"},
                 {"model", o.model.string()},
                 {"output", o.output.string()},
                 {"method", o.method},
                 {"format", o.format},
                 {"source_bytes", r.source_bytes},
                 {"output_bytes", r.output_bytes},
                 {"bits_per_weight", r.bits_per_weight},
                 {"linears", r.linears.size()},
                 {"error_before", FiniteOrNull(errors.before)},
                 {"error_after", FiniteOrNull(errors.after)},
                 {"calib_tokens", r.calib_tokens},
                 {"seconds", r.seconds},
                 {"resumed_layers", r.resumed_layers},
                 {"already_complete", r.already_complete},
                 {"quality", quality},
                 {"peak_rss_bytes", PeakRss()},
                 {"warnings", r.warnings}};
  if (!r.curve.empty()) out["curve"] = ToJson(r.curve);
  return out;
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

void PrintReport(const QuantizeOptions& o, const QuantizeReport& r) {
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

}  // namespace awq
