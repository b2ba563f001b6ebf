// Progress: how quantization goes, on stderr; a live table on a terminal, plain lines elsewhere.
#pragma once

#include <memory>
#include <string>

#include "awq/api/quantize.h"
#include "awq/cli/terminal.h"

namespace awq {

class QuantizeProgress {
 public:
  virtual ~QuantizeProgress() = default;
  virtual void OnEvent(const QuantizeEvent& event) = 0;
  virtual void OnWarning(const std::string& warning) = 0;
  // Called often while work goes on: keeps the clock of a live display moving.
  virtual void Tick() {}
  // Leaves the screen tidy; the end has come, by success or not.
  virtual void Close() {}
};

std::unique_ptr<QuantizeProgress> MakeQuantizeProgress(const TerminalInfo& terminal);

// One line that is rewritten on a terminal; elsewhere nothing.
class StatusLine {
 public:
  explicit StatusLine(const TerminalInfo& terminal) : terminal_(terminal) {}
  ~StatusLine() { Clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  void Show(const std::string& text);
  void Clear();

 private:
  TerminalInfo terminal_;
  bool shown_ = false;
};

// "████░░░░" of that many columns.
std::string Bar(double share, int columns);

}  // namespace awq
