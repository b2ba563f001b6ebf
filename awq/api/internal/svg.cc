#include "awq/api/internal/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "awq/base/error.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 260;
constexpr double kLeft = 56;
constexpr double kRight = 16;
constexpr double kTop = 14;
constexpr double kBottom = 44;

double X(double share) { return kLeft + share * (kWidth - kLeft - kRight); }
double Y(double share) { return kHeight - kBottom - share * (kHeight - kTop - kBottom); }

std::string P(double value) { return Fixed("%.1f", value); }

std::string Open(double width, double height, const std::string& label) {
  return Cat("<svg viewBox=\"0 0 ", P(width), " ", P(height), "\" role=\"img\" aria-label=\"",
             EscapeHtml(label), "\">");
}

std::string TextAt(double x, double y, const char* anchor, const std::string& text) {
  return Cat("<text x=\"", P(x), "\" y=\"", P(y), "\" text-anchor=\"", anchor, "\">",
             EscapeHtml(text), "</text>");
}

std::string Rule(double x1, double y1, double x2, double y2, const char* style) {
  return Cat("<line class=\"", style, "\" x1=\"", P(x1), "\" y1=\"", P(y1), "\" x2=\"", P(x2),
             "\" y2=\"", P(y2), "\"/>");
}

// The smallest of 1, 2, 5 · 10^n that is at least `value`.
double RoundUp(double value) {
  if (!(value > 0) || !std::isfinite(value)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (double step : {1.0, 2.0, 5.0}) {
    if (step * power >= value * (1 - 1e-9)) return step * power;
  }
  return 10 * power;
}

// Every so many of `count` places get a number.
size_t LabelStep(size_t count) {
  return static_cast<size_t>(std::max(1.0, RoundUp(static_cast<double>(count) / 13)));
}

double Largest(const std::vector<Series>& series) {
  double out = 0;
  for (const Series& s : series) {
    for (double v : s.values) {
      if (std::isfinite(v)) out = std::max(out, v);
    }
  }
  return out;
}

// Horizontal rules with their values.
std::string ValueAxis(double top, double step, bool percent) {
  std::string out;
  for (int i = 0; i * step <= top * (1 + 1e-9); ++i) {
    const double v = i * step;
    const double y = Y(v / top);
    out += Rule(kLeft, y, kWidth - kRight, y, i == 0 ? "axis" : "grid");
    out +=
        TextAt(kLeft - 8, y + 4, "end", percent ? Fixed("%.3g", 100 * v) + " %" : Fixed("%.3g", v));
  }
  return out;
}

}  // namespace

std::string Fixed(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  const std::string valid = ReplaceInvalidUtf8(text);
  for (std::string_view rest = valid; !rest.empty();) {
    const Utf8Char c = DecodeUtf8(rest);
    const std::string_view bytes = rest.substr(0, c.length);
    rest.remove_prefix(c.length);
    const char32_t code = c.code;
    const bool turns = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
                       code == 0x200e || code == 0x200f || code == 0x061c;
    if (code == '&') {
      out += "&amp;";
    } else if (code == '<') {
      out += "&lt;";
    } else if (code == '>') {
      out += "&gt;";
    } else if (code == '"') {
      out += "&quot;";
    } else if (code == '\'') {
      out += "&#39;";
    } else if (code == '\n') {
      out += "\xe2\x86\xb5";  // ↵
    } else if (code == '\t') {
      out += "\xe2\x87\xa5";  // ⇥
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || turns || code == 0xfeff) {
      char name[16];
      std::snprintf(name, sizeof name, "U+%04X", static_cast<unsigned>(code));
      out += name;
    } else {
      out += bytes;
    }
  }
  return out;
}

std::string LineChart(const std::vector<Series>& series, const std::string& x_label,
                      const std::string& label) {
  const double largest = Largest(series);
  const double step = RoundUp(largest / 4);
  const double top = step * std::max(1.0, std::ceil(largest / step - 1e-9));
  std::string out = Open(kWidth, kHeight, label) + ValueAxis(top, step, true);
  const size_t count = series.empty() ? 0 : series.front().values.size();
  const auto x = [&](size_t i) {
    return X(count < 2 ? 0.5 : static_cast<double>(i) / static_cast<double>(count - 1));
  };
  const size_t every = LabelStep(count);
  for (size_t i = 0; i < count; ++i) {
    if ((i + 1) % every != 0 && i != 0) continue;
    out += TextAt(x(i), kHeight - kBottom + 18, "middle", std::to_string(i + 1));
  }
  out += TextAt(X(0.5), kHeight - 6, "middle", x_label);
  for (const Series& s : series) {
    std::string points;
    std::string dots;
    for (size_t i = 0; i < s.values.size(); ++i) {
      if (!std::isfinite(s.values[i])) continue;
      const double y = Y(s.values[i] / top);
      points += Cat(points.empty() ? "" : " ", P(x(i)), ",", P(y));
      dots +=
          Cat("<circle class=\"dot ", s.style, "\" cx=\"", P(x(i)), "\" cy=\"", P(y), "\" r=\"",
              count > 40 ? "1.6" : "3", "\"><title>", EscapeHtml(x_label), " ", i + 1, ", ",
              EscapeHtml(s.name), ": ", Fixed("%.3g", 100 * s.values[i]), " %</title></circle>");
    }
    out += Cat("<polyline class=\"line ", s.style, "\" points=\"", points, "\"/>", dots);
  }
  return out + "</svg>";
}

std::string StepChart(const std::vector<Series>& series,
                      const std::vector<std::pair<double, std::string>>& ticks,
                      const std::string& x_label, const std::string& label) {
  const double largest = Largest(series);
  const double step = RoundUp(largest / 4);
  const double top = step * std::max(1.0, std::ceil(largest / step - 1e-9));
  std::string out = Open(kWidth, kHeight, label) + ValueAxis(top, step, true);
  for (const auto& [at, text] : ticks) {
    out += Rule(X(at), Y(0), X(at), Y(0) + 5, "axis");
    out += TextAt(X(at), kHeight - kBottom + 18, "middle", text);
  }
  out += TextAt(X(0.5), kHeight - 6, "middle", x_label);
  for (const Series& s : series) {
    std::string path = Cat("M", P(X(0)), " ", P(Y(0)));
    const auto count = static_cast<double>(s.values.size());
    for (size_t i = 0; i < s.values.size(); ++i) {
      const double y = Y(s.values[i] / top);
      path += Cat("L", P(X(static_cast<double>(i) / count)), " ", P(y), "L",
                  P(X(static_cast<double>(i + 1) / count)), " ", P(y));
    }
    out += Cat("<path class=\"area ", s.style, "\" d=\"", path, "L", P(X(1)), " ", P(Y(0)),
               "Z\"><title>", EscapeHtml(s.name), "</title></path>");
  }
  return out + "</svg>";
}

std::string HeatMap(const std::vector<std::string>& rows,
                    const std::vector<std::vector<HeatCell>>& cells, const std::string& label) {
  constexpr double kRow = 24;
  const size_t columns = cells.empty() ? 0 : cells.front().size();
  const double width =
      (kWidth - kLeft - kRight) / static_cast<double>(std::max<size_t>(1, columns));
  const double height = kRow * static_cast<double>(rows.size());
  std::string out = Open(kWidth, height + 40, label);
  for (size_t r = 0; r < rows.size(); ++r) {
    const double y = kRow * static_cast<double>(r);
    out += TextAt(kLeft - 8, y + 16, "end", rows[r]);
    for (size_t c = 0; c < cells[r].size(); ++c) {
      const HeatCell& cell = cells[r][c];
      if (!std::isfinite(cell.value)) continue;
      // The strength of the colour says how far the ratio lies from 1, fully at a factor of 4.
      const double strength = std::min(1.0, std::abs(std::log(cell.value)) / std::log(4.0));
      out += Cat("<rect class=\"", cell.value <= 1 ? "better" : "worse", "\" fill-opacity=\"",
                 Fixed("%.2f", 0.06 + 0.94 * strength), "\" x=\"",
                 P(kLeft + width * static_cast<double>(c)), "\" y=\"", P(y + 1), "\" width=\"",
                 P(std::max(0.5, width - (columns > 60 ? 0.5 : 2))), "\" height=\"", P(kRow - 2),
                 "\"><title>", EscapeHtml(cell.title), "</title></rect>");
    }
  }
  const size_t every = LabelStep(columns);
  for (size_t c = 0; c < columns; ++c) {
    if ((c + 1) % every != 0 && c != 0) continue;
    out += TextAt(kLeft + width * (static_cast<double>(c) + 0.5), height + 16, "middle",
                  std::to_string(c + 1));
  }
  out += TextAt(X(0.5), height + 34, "middle", "layer");
  return out + "</svg>";
}

}  // namespace awq
