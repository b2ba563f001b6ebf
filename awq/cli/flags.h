// Flags that several verbs share.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "awq/api/llm.h"

namespace awq {

// --device, --threads.
void AddDeviceFlags(CLI::App& verb, std::string& device, int& threads);
// --dtype.
void AddDtypeFlag(CLI::App& verb, std::string& dtype, const std::string& automatic);
// --kv-type.
void AddKvTypeFlag(CLI::App& verb, std::string& kv_type);
// --head-bits.
void AddHeadFlag(CLI::App& verb, int& bits);
// --deterministic.
void AddDeterministicFlag(CLI::App& verb, bool& deterministic);
// --device, --threads, --dtype, --kv-type, --head-bits, --deterministic, --ctx, --kv-memory.
void AddLlmFlags(CLI::App& verb, LlmOptions& options);
// --temperature, --top-k, … --stop, --max-tokens.
void AddGenerateFlags(CLI::App& verb, GenerateOptions& options);
// \n, \t, \r and \\ in stop texts stand for what they stand for in C.
std::string Unescape(const std::string& text);

}  // namespace awq
