// Memory that outlives a call so that the next one need not ask the system again.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "awq/base/error.h"

namespace awq::cpu {

class Scratch {
 public:
  // `count` elements, 64-byte aligned, uninitialised; the previous contents are lost. Valid until
  // the next call for the same slot.
  template <typename T>
  T* Get(int slot, int64_t count) {
    return static_cast<T*>(Bytes(slot, count * static_cast<int64_t>(sizeof(T))));
  }

 private:
  static constexpr int kSlots = 7;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  struct Slot {
    std::unique_ptr<void, Free> data;
    int64_t size = 0;
  };

  void* Bytes(int slot, int64_t bytes) {
    Slot& s = slots_[slot];
    if (s.size < bytes) {
      const int64_t size = (bytes + bytes / 4 + 127) / 64 * 64;
      s.data.reset();
      s.data.reset(std::aligned_alloc(64, static_cast<size_t>(size)));
      s.size = s.data ? size : 0;
      AWQ_CHECK(s.data != nullptr, kOutOfMemory, "cannot allocate ", size, " bytes of scratch");
    }
    return s.data.get();
  }

  Slot slots_[kSlots];
};

}  // namespace awq::cpu
