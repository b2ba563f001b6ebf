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
inline constexpr const char* kHeadBitsAuto = "8 on a GPU for a quantized model, else 16";
// --head-bits; automatic: what 0 stands for, or empty where it is no choice.
void AddHeadFlag(CLI::App& verb, int& bits, const std::string& automatic);
// --deterministic.
void AddDeterministicFlag(CLI::App& verb, bool& deterministic);
// --device, --threads, --dtype, --kv-type, --head-bits, --deterministic, --ctx, --kv-memory.
void AddLlmFlags(CLI::App& verb, LlmOptions& options);
// --temperature, --top-k, … --stop, --max-tokens.
void AddGenerateFlags(CLI::App& verb, GenerateOptions& options);
// \n, \t, \r and \\ in stop texts stand for what they stand for in C.
std::string Unescape(const std::string& text);

}  // namespace awq
