// The one error type of the project, and the checks that throw it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace awq {

enum class ErrorCode {
  kInvalidArgument,  // a flag, request or call that cannot be right
  kNotFound,         // a file or tensor that should exist
  kUnsupported,      // well-formed, but not handled here; the message lists what is
  kCorrupt,          // a file that contradicts its own format
  kOutOfMemory,
  kDevice,     // the accelerator or the operating system failed
  kIo,         // a file could not be read or written (disk full, permissions)
  kCancelled,  // the user stopped the work
  kInternal,   // our own mistake
};

// Stable lower-case name, e.g. "corrupt".
std::string_view ErrorCodeName(ErrorCode code);

// what() says where, expected, found, and the cure if known, on one line.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// Joins anything printable: Cat("expected ", 4, ", found ", n).
template <typename... Args>
std::string Cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

template <typename... Args>
[[noreturn]] void Fail(ErrorCode code, const Args&... args) {
  throw Error(code, Cat(args...));
}

}  // namespace awq

// Always on: for whatever a file, flag or request can cause.
//   AWQ_CHECK(n % 8 == 0, kCorrupt, name, ": expected a multiple of 8, found ", n);
#define AWQ_CHECK(condition, code, ...)                 \
  do {                                                  \
    if (!(condition)) [[unlikely]]                      \
      ::awq::Fail(::awq::ErrorCode::code, __VA_ARGS__); \
  } while (0)

// Debug builds only: for our own mistakes.
#ifdef NDEBUG
#define AWQ_DCHECK(condition) \
  do {                        \
  } while (0)
#else
#define AWQ_DCHECK(condition) \
  AWQ_CHECK(condition, kInternal, __FILE__, ":", __LINE__, ": failed " #condition)
#endif
