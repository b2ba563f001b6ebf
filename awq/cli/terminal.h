// Terminal: stdout for results, stderr for everything else, and numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "awq/base/json.h"

namespace awq {

// The reader of stdout has gone; the program ends quietly.
struct OutputClosed {};

// Writes to stdout at once. Throws OutputClosed, or Error kIo naming the reason.
void Print(std::string_view text);
// One line, invalid UTF-8 replaced.
void PrintJson(const RawJson& json);
// Writes to stderr; failure is ignored.
void PrintErr(std::string_view text);

struct TerminalInfo {
  bool interactive = false;  // a terminal that understands cursor movement
  bool color = false;        // and the user has not set NO_COLOR
  int columns = 80;
  int rows = 24;
};
// Of stderr, as it is now.
TerminalInfo StderrTerminal();

// "12.3 MB", decimal units.
std::string FormatBytes(int64_t bytes);
// "4.1 s", "2 min 10 s", "1 h 03 min".
std::string FormatSeconds(double seconds);
// printf of one double, e.g. FormatNumber("%.3f", x).
std::string FormatNumber(const char* format, double value);
// At most `columns` code points, the last one "…" when something is left out.
std::string Truncate(std::string_view text, int columns);
// Padded on the right to `columns` code points.
std::string Pad(std::string_view text, int columns);
// Padded on the left.
std::string PadLeft(std::string_view text, int columns);

// "5GB", "500 MiB", "1000": K, M, G, T decimal, with i binary. Throws kInvalidArgument.
int64_t ParseBytes(std::string_view text);

// The most memory that this process has held, in bytes.
int64_t PeakRss();

}  // namespace awq
