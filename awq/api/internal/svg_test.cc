#include "awq/api/internal/svg.h"

#include <gtest/gtest.h>

#include <cmath>

#include "awq/api/internal/quality_page.h"

namespace awq {
namespace {

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(EscapeHtml("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
  EXPECT_EQ(EscapeHtml("a\nb\tc"),
            "a\xe2\x86\xb5"
            "b\xe2\x87\xa5"
            "c");
  EXPECT_EQ(EscapeHtml(std::string_view("\0\x1b", 2)), "U+0000U+001B");
  EXPECT_EQ(EscapeHtml("\xe2\x80\xae"), "U+202E");  // right-to-left override
  EXPECT_EQ(EscapeHtml("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(EscapeHtml("\xc3\xa4"), "\xc3\xa4");
}

TEST(Charts, HoldNothingThatIsNoNumber) {
  const double nan = std::nan("");
  for (const std::string& svg :
       {LineChart({{"a", "ours", {nan, 1, INFINITY}}}, "x", "l"), LineChart({}, "x", "l"),
        StepChart({{"a", "ours", {0, 0}}}, {{0.5, "t"}}, "x", "l"),
        HeatMap({"q"}, {{{nan, ""}, {0.5, "<t>"}}}, "l")}) {
    EXPECT_EQ(svg.find("nan"), svg.npos) << svg;
    EXPECT_EQ(svg.find("inf"), svg.npos) << svg;
    EXPECT_TRUE(svg.ends_with("</svg>"));
  }
}

TEST(QualityPage, EscapesWhateverComesFromFiles) {
  const std::string evil = "</script><script>alert(1)</script>\"'";
  const RawJson model = {{"perplexity", 2.0},
                         {"kld_mean", 0.01},
                         {"kld_mean_standard_error", 0.001},
                         {"kld_median", 0.005},
                         {"kld_p99", 0.1},
                         {"kld_p999", 0.2},
                         {"top1", 0.9},
                         {"kld_histogram", std::vector<int>(28, 1)}};
  const RawJson guess = {{"text", evil}, {"probability", 0.5}};
  const RawJson passport = {
      {"model", evil},
      {"tool", evil},
      {"options", {{evil, evil}}},
      {"source", {{evil, evil}}},
      {"linears", {{{"layer", 0}, {"linear", evil}, {"error_rtn", 1.0}, {"error", nullptr}}}},
      {"results",
       {{"text",
         {{"name", evil}, {"sha256", evil}, {"tokens", 28}, {"windows", 1}, {"window", 29}}},
        {"source", {{"perplexity", nullptr}}},
        {"quantized", model},
        {"rtn", model},
        {"layers", {{{"error", 0.1}, {"error_rtn", 0.2}}}},
        {"bits", {{{"what", evil}, {"parameters", 10}, {"bytes", 5}}}},
        {"worst_tokens",
         {{{"before", evil},
           {"token", evil},
           {"kld", 1.0},
           {"source_top", guess},
           {"quantized_top", guess},
           {"source_probability", 0.1},
           {"quantized_probability", 0.2}}}}}}};
  const std::string page = QualityPage(passport);
  EXPECT_EQ(page.find("<script"), page.npos);
  EXPECT_EQ(page.find("http"), page.npos) << "the page must not need the network";
  EXPECT_NE(page.find("&lt;script&gt;"), page.npos);
}

}  // namespace
}  // namespace awq
