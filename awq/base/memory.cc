#include "awq/base/memory.h"

#include <fstream>
#include <string>

namespace awq {

int64_t AvailableMemory() {
  std::ifstream info("/proc/meminfo");
  for (std::string word; info >> word;) {
    int64_t kilobytes = 0;
    if (word == "MemAvailable:" && info >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace awq
