// Exit codes: the one table of what the program's exit status means.
#pragma once

#include <array>
#include <string_view>

#include "awq/base/error.h"

namespace awq {

struct ExitCode {
  int status;
  std::string_view meaning;
};

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitOutOfMemory = 7;
inline constexpr int kExitStopped = 75;

inline constexpr std::array<ExitCode, 11> kExitCodes = {{
    {kExitOk, "done"},
    {kExitFailed, "verify found problems, or an internal error"},
    {kExitUsage, "bad usage or argument"},
    {3, "a file or tensor is not there"},
    {4, "a file is corrupt"},
    {5, "well-formed, but not supported"},
    {6, "reading or writing failed (disk full, permissions)"},
    {kExitOutOfMemory, "out of memory"},
    {8, "the device failed"},
    {kExitStopped, "quantize was stopped (Ctrl-C, SIGTERM); --resume goes on"},
    {130, "cancelled, or stopped at once by a second Ctrl-C"},
}};

constexpr int ExitStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return kExitUsage;
    case ErrorCode::kNotFound:
      return 3;
    case ErrorCode::kCorrupt:
      return 4;
    case ErrorCode::kUnsupported:
      return 5;
    case ErrorCode::kIo:
      return 6;
    case ErrorCode::kOutOfMemory:
      return kExitOutOfMemory;
    case ErrorCode::kDevice:
      return 8;
    case ErrorCode::kCancelled:
      return 130;
    case ErrorCode::kInternal:
      return kExitFailed;
  }
  return kExitFailed;
}

}  // namespace awq
