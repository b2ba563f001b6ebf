// What plans need to know of a GPU, and whether there is one.
#pragma once

#include <string>

namespace awq::cuda {

struct DeviceLimits {
  // 75, 80, 86, … of the device, or of the code that was compiled for it where that is less: 90 is
  // sm_90a, so that an sm_90 without code of its own counts as 89.
  int arch = 0;
  int sms = 0;
  int shared_per_block = 0;  // bytes a block may opt in to
  std::string name = {};
};

// Of the current device. Throws kDevice, saying what is missing, when none answers; kUnsupported,
// naming the device, when it is older than sm_75 or this program has no code that it can run.
DeviceLimits ReadDeviceLimits();

// Whether this machine has a driver, and so a GPU most likely.
bool HasDriver();

}  // namespace awq::cuda
