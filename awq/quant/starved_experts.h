// StarvedExperts: which experts the calibration hardly reached, for a warning a layer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "awq/quant/pipeline.h"

namespace awq {

class StarvedExperts {
 public:
  void Note(const LinearOutcome& outcome);
  // "layer 3: experts 4 (0 tokens), 17 (12 tokens) of 64 read fewer than 32 calibration tokens: …"
  std::vector<std::string> Warnings() const;

 private:
  struct Expert {
    int64_t index, tokens;
  };
  std::map<int64_t, std::vector<Expert>> by_layer_;
  std::map<int64_t, int64_t> experts_;  // of each layer, those that were not starved included
};

}  // namespace awq
