// Svg: internal to api; the charts of a quality page, coloured by the page's style sheet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace awq {

// For text and attribute values. What is no printable text shows as what it is: line ends and tabs
// as symbols, controls and characters that turn the direction of writing by their code.
std::string EscapeHtml(std::string_view text);
// printf of one double.
std::string Fixed(const char* format, double value);

struct Series {
  std::string name;
  std::string style;  // the class that colours it: "ours", "rtn"
  std::vector<double> values;
};

// Lines over x = 1, 2, …, from zero up; `unit` labels the values.
std::string LineChart(const std::vector<Series>& series, const std::string& x_label,
                      const std::string& label);
// Histograms over shared bins, as filled steps. ticks: {bin boundary, label}.
std::string StepChart(const std::vector<Series>& series,
                      const std::vector<std::pair<double, std::string>>& ticks,
                      const std::string& x_label, const std::string& label);

struct HeatCell {
  double value = 0;  // a ratio: 1 is neutral; NaN: empty
  std::string title;
};
// One row a name, one column a layer.
std::string HeatMap(const std::vector<std::string>& rows,
                    const std::vector<std::vector<HeatCell>>& cells, const std::string& label);

}  // namespace awq
