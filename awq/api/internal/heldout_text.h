// Held-out text: internal to api; what quality is measured on.
#pragma once

#include <string>

namespace awq {

struct HeldOutText {
  std::string name;  // "builtin" or the file's name
  std::string content;
  std::string sha256;
};

// "builtin": excerpts of novels and of documentation that the built-in calibration text does not
// hold (NOTICE). Otherwise a file. Throws kNotFound, kIo.
HeldOutText ReadHeldOutText(const std::string& source);

}  // namespace awq
