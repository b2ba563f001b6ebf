#include "awq/cli/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "awq/base/clock.h"
#include "awq/base/error.h"

namespace awq {
namespace {

std::string ErrorText(double value) { return FormatNumber("%.2e", value); }

std::string Change(double before, double after) {
  return before > 0 ? FormatNumber("%+.0f %%", 100 * (after / before - 1)) : "";
}

std::string Eta(double seconds) { return seconds > 0 ? FormatSeconds(seconds) : "…"; }

class PlainProgress : public QuantizeProgress {
 public:
  void OnEvent(const QuantizeEvent& e) override {
    if (e.linear.empty()) return;
    PrintErr(Cat("quant: layer ", e.layer + 1, "/", e.num_layers, " ", e.linear, ": alpha ",
                 e.alpha, ", clipped ", FormatNumber("%.0f", 100 * e.clipped), " %, error ",
                 ErrorText(e.error_before), " -> ", ErrorText(e.error_after), ", ",
                 FormatSeconds(e.seconds), ", ETA ", Eta(e.eta_seconds), "\n"));
  }
  void OnWarning(const std::string& warning) override {
    PrintErr("awq: warning: " + warning + "\n");
  }
};

// Finished layers scroll by, a line each; the current one and a bar below it are drawn again and
// again.
class LiveProgress : public QuantizeProgress {
 public:
  explicit LiveProgress(const TerminalInfo& terminal) : terminal_(terminal) {}

  void OnEvent(const QuantizeEvent& event) override {
    last_ = event;
    received_ = Clock::now();
    Erase();
    if (event.linear.empty()) {
      FinishLayer();
      layer_start_ = event.seconds;
    } else {
      if (current_.empty() && !header_) PrintHeader();
      current_.push_back(event);
    }
    Draw();
  }

  void OnWarning(const std::string& warning) override {
    Erase();
    PrintErr("awq: warning: " + warning + "\n");
    Draw();
  }

  void Tick() override {
    if (Clock::now() - drawn_ < std::chrono::milliseconds(250)) return;
    Erase();
    Draw();
  }

  void Close() override {
    if (closed_) return;
    Erase();
    FinishLayer();
    closed_ = true;
  }

 private:
  // The columns of the table; every line is cut to the terminal's width before it is coloured.
  static std::string Columns(const std::string& layer, const std::string& linear,
                             const std::string& alpha, const std::string& clip,
                             const std::string& error, const std::string& rest) {
    return PadLeft(layer, 8) + "  " + Pad(linear, 8) + "  " + Pad(alpha, 14) + "  " +
           PadLeft(clip, 6) + "  " + Pad(error, 19) + "  " + rest;
  }
  std::string Fit(const std::string& line) const { return Truncate(line, terminal_.columns - 1); }
  std::string Paint(const char* code, const std::string& line) const {
    return terminal_.color ? Cat("\x1b[", code, "m", line, "\x1b[0m") : line;
  }
  std::string LayerName(const QuantizeEvent& e) const {
    return Cat(e.layer + 1, "/", e.num_layers);
  }

  void PrintHeader() {
    PrintErr(Paint("1", Fit(Columns("layer", "linear", "α", "clip", "error before → after", ""))) +
             "\n");
    header_ = true;
  }

  std::string LinearLine(const QuantizeEvent& e) const {
    return Columns(LayerName(e), e.linear, e.alpha, FormatNumber("%.0f %%", 100 * e.clipped),
                   ErrorText(e.error_before) + " → " + ErrorText(e.error_after),
                   Change(e.error_before, e.error_after));
  }

  void FinishLayer() {
    if (current_.empty()) return;
    std::vector<std::string> alphas;
    double clipped = 0;
    double before = 0;
    double after = 0;
    for (const QuantizeEvent& e : current_) {
      if (std::find(alphas.begin(), alphas.end(), e.alpha) == alphas.end())
        alphas.push_back(e.alpha);
      clipped += e.clipped;
      before += e.error_before;
      after += e.error_after;
    }
    const auto n = static_cast<double>(current_.size());
    std::string alpha = alphas.front();
    for (size_t i = 1; i < alphas.size(); ++i) alpha += " " + alphas[i];
    PrintErr(Fit(Columns(LayerName(current_.front()), Cat("all ", current_.size()),
                         Truncate(alpha, 14), FormatNumber("%.0f %%", 100 * clipped / n),
                         ErrorText(before / n) + " → " + ErrorText(after / n),
                         Change(before, after) + "  " +
                             FormatSeconds(current_.back().seconds - layer_start_))) +
             "\n");
    current_.clear();
  }

  void Erase() {
    if (live_lines_ > 0) PrintErr(Cat("\r\x1b[", live_lines_, "A\x1b[J"));
    live_lines_ = 0;
  }

  void Draw() {
    if (closed_ || last_.num_layers == 0) return;
    std::string out;
    const auto room = static_cast<size_t>(std::max(1, terminal_.rows - 3));
    const size_t first = current_.size() > room ? current_.size() - room : 0;
    for (size_t i = first; i < current_.size(); ++i) {
      out += Paint("2", Fit(LinearLine(current_[i]))) + "\n";
      ++live_lines_;
    }
    const double since = SecondsSince(received_);
    const auto linears = static_cast<double>(std::max<int64_t>(1, last_.layer_linears));
    const double share = (static_cast<double>(last_.layer) +
                          std::min(1.0, static_cast<double>(current_.size()) / linears)) /
                         static_cast<double>(last_.num_layers);
    const std::string eta =
        last_.eta_seconds > 0 ? FormatSeconds(std::max(0.0, last_.eta_seconds - since)) : "…";
    const std::string text = Cat(" layer ", LayerName(last_), " · ",
                                 FormatSeconds(last_.seconds + since), " · ETA ", eta);
    out +=
        Paint("32", Fit(" " + Bar(share, std::clamp(terminal_.columns - 50, 8, 40)) + text)) + "\n";
    ++live_lines_;
    PrintErr(out);
    drawn_ = Clock::now();
  }

  TerminalInfo terminal_;
  QuantizeEvent last_;
  std::vector<QuantizeEvent> current_;  // linears of the layer in work
  double layer_start_ = 0;
  Clock::time_point received_{};
  Clock::time_point drawn_{};
  int live_lines_ = 0;
  bool header_ = false;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<QuantizeProgress> MakeQuantizeProgress(const TerminalInfo& terminal) {
  if (terminal.interactive) return std::make_unique<LiveProgress>(terminal);
  return std::make_unique<PlainProgress>();
}

std::string Bar(double share, int columns) {
  const int full = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * columns));
  std::string out;
  for (int i = 0; i < columns; ++i) out += i < full ? "█" : "░";
  return out;
}

void StatusLine::Show(const std::string& text) {
  if (!terminal_.interactive) return;
  PrintErr("\r\x1b[K" + Truncate(text, terminal_.columns - 1));
  shown_ = true;
}

void StatusLine::Clear() {
  if (shown_) PrintErr("\r\x1b[K");
  shown_ = false;
}

}  // namespace awq
