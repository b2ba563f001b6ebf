#include "awq/api/internal/quality_page.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "awq/api/internal/svg.h"
#include "awq/api/quality.h"
#include "awq/base/error.h"

namespace awq {
namespace {

constexpr const char* kStyle = R"(
:root{--bg:#f7f7f5;--card:#fff;--ink:#1c1e21;--soft:#62676e;--line:#e2e3e0;--ours:#0b6bcb;--rtn:#c2701b;
--better:#0a7f5a;--worse:#c23b3b;--mark:#fdf0d5}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1d2025;--ink:#e8e9eb;--soft:#9aa1aa;--line:#31363d;
--ours:#5aa9f5;--rtn:#e5994c;--better:#3cc494;--worse:#ef7b7b;--mark:#4a3a17}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:880px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:0 0 4px}
p{margin:.4em 0}.soft,figcaption,small{color:var(--soft)}figcaption,.note{font-size:.875rem}
.lead{font-size:1.1rem;margin:16px 0 20px}
section,.tile{background:var(--card);border:1px solid var(--line);border-radius:12px}
section{padding:20px;margin:16px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px}
.tile{padding:14px 16px}.tile b{display:block;font-size:1.6rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.875rem;display:block}
.good{color:var(--better)}.bad{color:var(--worse)}
svg{display:block;width:100%;height:auto;margin:8px 0;overflow:visible}
svg text{font-size:12px;fill:var(--soft)}
.axis{stroke:var(--soft)}.grid{stroke:var(--line)}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.ours,.dot.ours,.area.ours{stroke:var(--ours)}
.line.rtn,.dot.rtn,.area.rtn{stroke:var(--rtn)}.dot.ours{fill:var(--ours)}.dot.rtn{fill:var(--rtn)}
.area{stroke-width:1.5;fill-opacity:.16}.area.ours{fill:var(--ours)}.area.rtn{fill:var(--rtn)}
.better{fill:var(--better)}.worse{fill:var(--worse)}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.875rem}.key i{display:inline-block;width:12px;height:12px;
border-radius:3px;margin-right:6px;vertical-align:-1px}.key .ours{background:var(--ours)}.key .rtn{background:var(--rtn)}
.key .better{background:var(--better)}.key .worse{background:var(--worse)}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr:last-child td{border-bottom:0}
.scroll{overflow-x:auto}.scroll svg{min-width:480px}
code,.text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.85rem;
overflow-wrap:anywhere}
.bars{display:flex;height:28px;border-radius:6px;overflow:hidden;margin:10px 0}.bars div{min-width:2px}
ol.worst{list-style:none;margin:0;padding:0}ol.worst li{padding:12px 0;border-bottom:1px solid var(--line)}
ol.worst li:last-child{border-bottom:0}
.guess code{background:var(--bg);border-radius:4px;padding:1px 4px;white-space:pre-wrap}
.text{display:block;white-space:pre-wrap;margin-bottom:6px}.text mark{background:var(--mark);color:inherit;border-radius:3px;
padding:1px 2px}
.guess{display:flex;flex-wrap:wrap;gap:2px 20px;font-size:.875rem}
details summary{cursor:pointer;font-weight:600}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
)";

double Get(const RawJson& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>()
                                             : std::numeric_limits<double>::quiet_NaN();
}
std::string Text(const RawJson& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// "12,345".
std::string Grouped(double value) {
  std::string out = Fixed("%.0f", value);
  for (auto at = static_cast<int64_t>(out.size()) - 3; at > 0; at -= 3) {
    out.insert(static_cast<size_t>(at), ",");
  }
  return out;
}
std::string Percent(double share, const char* format = "%.2f") {
  return Fixed(format, 100 * share) + " %";
}
std::string Bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1000 && unit < 4) {
    bytes /= 1000;
    ++unit;
  }
  return Fixed(unit == 0 ? "%.0f " : "%.1f ", bytes) + units[unit];
}

std::string Tile(const std::string& name, const std::string& value, const std::string& rest) {
  return Cat("<div class=\"tile\"><span>", name, "</span><b>", value, "</b><span>", rest,
             "</span></div>");
}
std::string Row(const std::vector<std::string>& cells) {
  std::string out = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i) {
    out += Cat(i == 0 ? "<td>" : "<td class=\"n\">", cells[i], "</td>");
  }
  return out + "</tr>";
}
constexpr const char* kKey =
    "<div class=\"key\"><span><i class=\"ours\"></i>this checkpoint</span>"
    "<span><i class=\"rtn\"></i>plain rounding, same formats</span></div>";

class Page {
 public:
  explicit Page(const RawJson& passport)
      : passport_(passport),
        results_(passport.at("results")),
        text_(results_.at("text")),
        ours_(results_.at("quantized")),
        rtn_(results_.at("rtn")) {}

  std::string Render() const {
    const std::string name = EscapeHtml(Text(passport_, "model"));
    return Cat(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\"><title>",
        name, ": quality of the quantized model</title><style>", kStyle,
        "</style></head><body><main><header><h1>", name,
        "</h1><p class=\"soft\">Quality passport of a quantized checkpoint, by ",
        EscapeHtml(Text(passport_, "tool")), "</p></header>", Lead(), Tiles(), Distances(),
        Layers(), Linears(), Bits(), Worst(), Made(), Method(), "</main></body></html>\n");
  }

 private:
  // How much less the mean divergence is than plain rounding's, as a share.
  double Gain() const { return 1 - Get(ours_, "kld_mean") / Get(rtn_, "kld_mean"); }
  double PerplexityChange() const {
    return Get(ours_, "perplexity") / Get(results_.at("source"), "perplexity") - 1;
  }

  std::string Lead() const {
    const double gain = Gain();
    std::string against;
    if (std::abs(gain) < 0.005) {
      against = "the same as plain rounding";
    } else if (std::isfinite(gain)) {
      against =
          Cat("<span class=\"", gain > 0 ? "good" : "bad", "\">", Percent(std::abs(gain), "%.0f"),
              gain > 0 ? " less" : " more", "</span> than plain rounding");
    }
    return Cat("<p class=\"lead\">On ", Grouped(Get(text_, "tokens")),
               " tokens of text that it was not calibrated on, the quantized model&#39;s "
               "predictions differ from the original&#39;s by <b>",
               Fixed("%.4f", Get(ours_, "kld_mean")), " nats</b> a token, ", against,
               ". Both find the same token most likely in <b>", Percent(Get(ours_, "top1"), "%.1f"),
               "</b> of the places.</p>");
  }

  std::string Tiles() const {
    double bytes = 0;
    double parameters = 0;
    for (const RawJson& b : results_.at("bits")) {
      bytes += Get(b, "bytes");
      parameters += Get(b, "parameters");
    }
    return Cat(
        "<div class=\"tiles\">",
        Tile("KL divergence, mean", Fixed("%.4f", Get(ours_, "kld_mean")),
             Cat("± ", Fixed("%.4f", Get(ours_, "kld_mean_standard_error")), " nats a token")),
        Tile("Perplexity", Fixed("%.3f", Get(ours_, "perplexity")),
             Cat("original ", Fixed("%.3f", Get(results_.at("source"), "perplexity")), ", ",
                 Fixed("%+.2f", 100 * PerplexityChange()), "&nbsp;%")),
        Tile("Same most likely token", Percent(Get(ours_, "top1"), "%.2f"),
             Cat("plain rounding ", Percent(Get(rtn_, "top1"), "%.2f"))),
        Tile("Size", Bytes(bytes),
             Cat(Fixed("%.2f", 8 * bytes / parameters), " bits a parameter, all of them")),
        "</div>");
  }

  std::string Distances() const {
    std::vector<Series> series;
    for (const auto& [name, style, part] : {std::tuple{"plain rounding", "rtn", &rtn_},
                                            std::tuple{"this checkpoint", "ours", &ours_}}) {
      Series s{name, style, {}};
      for (const RawJson& count : part->at("kld_histogram")) {
        s.values.push_back(count.get<double>() / Get(text_, "tokens"));
      }
      series.push_back(std::move(s));
    }
    std::vector<std::pair<double, std::string>> ticks;
    for (int power = -6; power <= 1; ++power) {
      const double at = 4.0 * (power + 6) / static_cast<double>(kDivergenceBins);
      ticks.emplace_back(at, Fixed("%g", std::pow(10, power)));
    }
    std::string rows;
    for (const auto& [label, key] :
         {std::pair{"mean", "kld_mean"}, std::pair{"median", "kld_median"},
          std::pair{"99 % of tokens below", "kld_p99"},
          std::pair{"99.9 % of tokens below", "kld_p999"}}) {
      rows += Row({label, Fixed("%.5f", Get(ours_, key)), Fixed("%.5f", Get(rtn_, key))});
    }
    rows += Row({"perplexity", Fixed("%.4f", Get(ours_, "perplexity")),
                 Fixed("%.4f", Get(rtn_, "perplexity"))});
    rows +=
        Row({"same most likely token", Percent(Get(ours_, "top1")), Percent(Get(rtn_, "top1"))});
    return Cat(
        "<section><h2>How far its predictions are from the original&#39;s</h2>"
        "<p class=\"note soft\">Share of tokens by their KL divergence, "
        "KL(original ‖ quantized) of the next token, in nats. Further left is better.</p>",
        kKey, "<div class=\"scroll\">",
        StepChart(series, ticks, "nats, logarithmic", "Histogram of the KL divergence"), "</div>",
        "<div class=\"scroll\"><table><tr><th>KL divergence, nats</th><th class=\"n\">this "
        "checkpoint</th><th class=\"n\">plain rounding</th></tr>",
        rows, "</table></div></section>");
  }

  std::string Layers() const {
    Series ours{"this checkpoint", "ours", {}};
    Series rtn{"plain rounding", "rtn", {}};
    if (!results_.contains("layers")) return "";
    for (const RawJson& layer : results_.at("layers")) {
      ours.values.push_back(Get(layer, "error"));
      rtn.values.push_back(Get(layer, "error_rtn"));
    }
    return Cat(
        "<section><h2>How the error grows through the layers</h2><p class=\"note soft\">"
        "Squared error of the residual stream behind each layer, as a share of the "
        "stream&#39;s square; mean over tokens.</p>",
        kKey, "<div class=\"scroll\">",
        LineChart({rtn, ours}, "layer", "Error of the residual stream behind each layer"),
        "</div></section>");
  }

  // The linears of all layers by kind; experts of a kind count as one.
  std::string Linears() const {
    if (!passport_.contains("linears")) return "";
    struct Sums {
      double before = 0, after = 0, count = 0;
    };
    std::vector<std::string> names;
    std::map<std::string, std::map<int64_t, Sums>> sums;
    int64_t layers = 0;
    for (const RawJson& e : passport_.at("linears")) {
      const std::string linear = Text(e, "linear");
      const std::string kind = linear.substr(linear.rfind('.') + 1);
      if (!sums.contains(kind)) names.push_back(kind);
      const auto layer = static_cast<int64_t>(Get(e, "layer"));
      layers = std::max(layers, layer + 1);
      Sums& s = sums[kind][layer];
      s.before += Get(e, "error_rtn");
      s.after += Get(e, "error");
      s.count += 1;
    }
    std::vector<std::vector<HeatCell>> cells;
    for (const std::string& name : names) {
      auto& row = cells.emplace_back();
      for (int64_t l = 0; l < layers; ++l) {
        const auto it = sums[name].find(l);
        HeatCell cell{std::numeric_limits<double>::quiet_NaN(), ""};
        if (it != sums[name].end() && it->second.before > 0) {
          const Sums& s = it->second;
          cell.value = std::max(1e-6, s.after / s.before);
          cell.title = Cat("layer ", l + 1, ", ", name, ": ", Fixed("%.2e", s.before / s.count),
                           " → ", Fixed("%.2e", s.after / s.count));
        }
        row.push_back(std::move(cell));
      }
    }
    return Cat(
        "<section><h2>What the method gained in each linear</h2><p class=\"note soft\">"
        "Squared error of the linear&#39;s outputs on calibration text as written, over that "
        "of plain rounding; full colour at a factor of 4.</p><div class=\"key\"><span><i "
        "class=\"better\"></i>smaller</span><span><i class=\"worse\"></i>larger</span></div>",
        "<div class=\"scroll\">",
        HeatMap(names, cells, "Error of each linear, as written over plain rounding"),
        "</div></section>");
  }

  std::string Bits() const {
    double total = 0;
    for (const RawJson& b : results_.at("bits")) total += Get(b, "parameters");
    std::string bars;
    std::string rows;
    double strength = 1;
    for (const RawJson& b : results_.at("bits")) {
      const double share = Get(b, "parameters") / total;
      const std::string what = EscapeHtml(Text(b, "what"));
      bars += Cat("<div title=\"", what, "\" style=\"width:", Fixed("%.3f%%", 100 * share),
                  ";background:color-mix(in srgb,var(--ours) ", Fixed("%.0f", 100 * strength),
                  "%,var(--line))\"></div>");
      strength = std::max(0.15, strength - 0.28);
      rows +=
          Row({what, Grouped(Get(b, "parameters")), Percent(share, "%.1f"),
               Fixed("%.3f", 8 * Get(b, "bytes") / Get(b, "parameters")), Bytes(Get(b, "bytes"))});
    }
    return Cat(
        "<section><h2>Where the bits are</h2><p class=\"note soft\">Parameters by the format "
        "that they are stored in; scales and zero points count.</p><div class=\"bars\">",
        bars,
        "</div><div class=\"scroll\"><table><tr><th>format</th><th "
        "class=\"n\">parameters</th><th class=\"n\">share</th><th class=\"n\">bits a "
        "parameter</th><th class=\"n\">bytes</th></tr>",
        rows, "</table></div></section>");
  }

  std::string Worst() const {
    std::string items;
    const auto guess = [](const RawJson& g) {
      return Cat("<code>", EscapeHtml(Text(g, "text")), "</code> ",
                 Percent(Get(g, "probability"), "%.1f"));
    };
    for (const RawJson& w : results_.at("worst_tokens")) {
      items += Cat("<li><bdi class=\"text\">… ", EscapeHtml(Text(w, "before")), "<mark>",
                   EscapeHtml(Text(w, "token")),
                   "</mark></bdi><div class=\"guess\"><span>divergence <b>",
                   Fixed("%.3f", Get(w, "kld")), "</b></span><span>original expects ",
                   guess(w.at("source_top")), "</span><span>quantized expects ",
                   guess(w.at("quantized_top")), "</span><span class=\"soft\">marked token: ",
                   Percent(Get(w, "source_probability"), "%.1f"), " → ",
                   Percent(Get(w, "quantized_probability"), "%.1f"), "</span></div></li>");
    }
    return Cat(
        "<section><h2>The tokens where it differs most</h2><p class=\"note soft\">The text "
        "goes on with the marked token; ↵ is a line end, ⇥ a tab.</p><ol class=\"worst\">",
        items, "</ol></section>");
  }

  static std::string Value(const RawJson& value) {
    if (value.is_string()) return EscapeHtml(value.get<std::string>());
    return EscapeHtml(value.dump(-1, ' ', false, RawJson::error_handler_t::replace));
  }
  static std::string Table(const RawJson& object) {
    std::string rows;
    for (const auto& [key, value] : object.items()) {
      rows +=
          Cat("<tr><td>", EscapeHtml(key), "</td><td><code>", Value(value), "</code></td></tr>");
    }
    return Cat("<div class=\"scroll\"><table>", rows, "</table></div>");
  }

  std::string Made() const {
    std::string out;
    const auto add = [&](const char* title, const char* key) {
      if (!passport_.contains(key) || !passport_.at(key).is_object() || passport_.at(key).empty()) {
        return;
      }
      out += Cat("<section><details><summary>", title, "</summary>", Table(passport_.at(key)),
                 "</details></section>");
    };
    add("Options it was made with", "options");
    add("SHA-256 of the original", "source");
    add("SHA-256 of this checkpoint", "output");
    return out;
  }

  std::string Method() const {
    const std::string source = Text(text_, "name") == "builtin"
                                   ? "the built-in held-out text"
                                   : "<code>" + EscapeHtml(Text(text_, "name")) + "</code>";
    return Cat(
        "<section><h2>How it was measured</h2><p class=\"note\">Text: ", source, ", SHA-256 ",
        "<code>", EscapeHtml(Text(text_, "sha256")), "</code>; ", Grouped(Get(text_, "tokens")),
        " tokens in ", Grouped(Get(text_, "windows")), " windows of ",
        Grouped(Get(text_, "window")), " tokens",
        text_.value("bos", false) ? ", each behind the beginning-of-text token" : "",
        ". The number of tokens is bounded so that measuring takes a small share of "
        "quantizing; the ± beside the mean is its standard error over windows. The original "
        "ran with the weights of its files, the quantized model with those of this "
        "checkpoint, plain rounding with the original&#39;s weights rounded to nearest in the "
        "same formats; all three in 32-bit floats on the same tokens.</p><p class=\"note "
        "soft\">The same numbers for programs are in quality.json; their digest is in the "
        "header of every safetensors file; <code>awq verify</code> checks both.</p></section>");
  }

  const RawJson& passport_;
  const RawJson& results_;
  const RawJson& text_;
  const RawJson& ours_;
  const RawJson& rtn_;
};

}  // namespace

std::string QualityPage(const RawJson& passport) { return Page(passport).Render(); }

}  // namespace awq
