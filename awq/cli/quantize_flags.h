// The command line of awq quantize.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "awq/api/quantize.h"

namespace awq {

struct QuantizeFlags {
  QuantizeOptions options;
  bool zero_point = true;
  bool method_given = false;
  bool no_clip = false;
  bool no_duo_scaling = false;
  std::string shard_size = "5GB";
  std::string log_jsonl;
  std::string memory_limit;
  bool dry_run = false;
  bool json = false;
};

// All options of the verb but those of the machine.
void AddQuantizeFlags(CLI::App& verb, QuantizeFlags& flags);
// Completes flags.options by what was given in other words. Throws kInvalidArgument.
void ReadQuantizeFlags(QuantizeFlags& flags);

}  // namespace awq
