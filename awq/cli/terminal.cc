#include "awq/cli/terminal.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "awq/base/error.h"

namespace awq {
namespace {

// False on an error, which is in errno.
bool WriteAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

int CountCharacters(std::string_view text) {
  int count = 0;
  for (char c : text) count += BeginsCharacter(c) ? 1 : 0;
  return count;
}

}  // namespace

void Print(std::string_view text) {
  if (WriteAll(STDOUT_FILENO, text)) return;
  if (errno == EPIPE || errno == EBADF) throw OutputClosed{};
  Fail(ErrorCode::kIo, "stdout: cannot write: ", std::strerror(errno));
}

void PrintJson(const RawJson& json) {
  Print(json.dump(-1, ' ', false, RawJson::error_handler_t::replace) + "\n");
}

void PrintErr(std::string_view text) { WriteAll(STDERR_FILENO, text); }

TerminalInfo StderrTerminal() {
  TerminalInfo out;
  const char* term = std::getenv("TERM");
  out.interactive =
      ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
  const char* no_color = std::getenv("NO_COLOR");
  out.color = out.interactive && (no_color == nullptr || *no_color == '\0');
  winsize size{};
  if (out.interactive && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) out.columns = size.ws_col;
    if (size.ws_row > 0) out.rows = size.ws_row;
  }
  return out;
}

std::string FormatNumber(const char* format, double value) {
  char text[64];
  const int n = std::snprintf(text, sizeof text, format, value);
  return std::string(text, static_cast<size_t>(std::max(0, std::min<int>(n, sizeof text - 1))));
}

std::string FormatBytes(int64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return FormatNumber(unit == 0 ? "%.0f " : "%.1f ", value) + units[unit];
}

std::string FormatSeconds(double seconds) {
  if (seconds < 9.95) return FormatNumber("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return Cat(whole, " s");
  const auto two = [](int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return Cat(whole / 60, " min ", two(whole % 60), " s");
  return Cat(whole / 3600, " h ", two(whole % 3600 / 60), " min");
}

std::string Truncate(std::string_view text, int columns) {
  if (CountCharacters(text) <= columns) return std::string(text);
  size_t end = 0;
  for (int left = columns - 1; end < text.size(); ++end) {
    if (BeginsCharacter(text[end]) && left-- <= 0) break;
  }
  return columns <= 0 ? "" : std::string(text.substr(0, end)) + "…";
}

std::string Pad(std::string_view text, int columns) {
  const int missing = columns - CountCharacters(text);
  return std::string(text) + std::string(static_cast<size_t>(std::max(0, missing)), ' ');
}

std::string PadLeft(std::string_view text, int columns) {
  const int missing = columns - CountCharacters(text);
  return std::string(static_cast<size_t>(std::max(0, missing)), ' ') + std::string(text);
}

int64_t ParseBytes(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  std::string unit;
  for (const char* p = end; *p != '\0'; ++p) {
    if (*p != ' ') unit += static_cast<char>(std::toupper(static_cast<unsigned char>(*p)));
  }
  if (unit.ends_with('B')) unit.pop_back();
  const bool binary = unit.size() == 2 && unit.ends_with('I');
  if (binary) unit.pop_back();
  const auto exponent = unit.empty() ? 0 : std::string_view(" KMGT").find(unit);
  const bool known = end != copy.c_str() && unit.size() <= 1 && exponent != std::string_view::npos;
  const double bytes = number * std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(exponent));
  AWQ_CHECK(known && bytes >= 1 && bytes < 9e18, kInvalidArgument,
            "expected a size such as 5GB or 500MiB, found \"", text, "\"");
  return static_cast<int64_t>(bytes);
}

int64_t PeakRss() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace awq
