// Bench: how fast a model reads prompts and writes tokens on this machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace awq {

struct BenchOptions {
  std::filesystem::path model;
  std::vector<int64_t> prompts = {512};  // tokens read at once by one sequence
  std::vector<int64_t> batches = {1};    // sequences that write side by side
  // Tokens in the cache of each when it begins to write; several: of the sequences in turn.
  std::vector<int64_t> contexts = {512};
  int64_t tokens = 64;   // written by each; the first 3 are not counted
  int64_t repeats = 5;   // of each prompt, after one that is not counted
  int64_t chunk = 4096;  // prompt tokens of one step
  std::string device = "auto";
  std::string dtype = "auto";
  std::string kv_type = "auto";  // of the KV cache: also "fp8"; auto: that of activations
  int threads = 0;               // 0: all cores
  int head_bits = 0;             // of the head's weight: 16, 8, 4; 0: as LlmOptions says
  bool deterministic = false;    // as LlmOptions says
  bool sample = false;   // draw tokens, with top-k 50 and top-p 0.95, not the most likely ones
  bool explain = false;  // also what each operation takes
  // All layers get the weights of the first, each its own copy: for a checkpoint that holds no
  // other.
  bool same_layers = false;
};

// All calls of an operation on one size in one prompt or step, with the device waiting for each.
struct BenchOp {
  std::string name;  // "linear 4096x14336", "attention"
  int64_t calls = 0;
  double seconds = 0;
  double bytes = 0;  // that it must move, and operations it must do
  double flops = 0;
};

// Bytes of a device that has its own memory.
struct BenchMemory {
  int64_t weights = 0;
  int64_t kv_cache = 0;   // for what the sequences have read and write
  int64_t workspace = 0;  // the most of all else: activations of a step, buffers of operations
};

struct BenchResult {
  std::string name;    // "prefill", "decode"
  int64_t batch = 1;   // sequences
  int64_t tokens = 0;  // prefill: of the prompt; decode: in the cache at the beginning, mean
  double median = 0;   // seconds of a prompt, of a step
  double least = 0;
  double most = 0;
  double tokens_per_second = 0;   // all sequences together, by the median
  std::vector<BenchOp> ops = {};  // with `explain`, the longest first
  // Of decode. Buffers grow and stay, so that a result's workspace covers those before it.
  std::optional<BenchMemory> memory = {};
};

struct BenchReport {
  std::string device;
  std::string dtype;
  std::string kv_type;
  int head_bits = 0;
  double load_seconds = 0;
  int64_t weight_bytes = 0;  // of the checkpoint's files
  // In use on the device beside what this program asked for: driver, kernels, other processes.
  int64_t context_bytes = 0;
  // With `explain`, what this device reaches: bytes and 16-bit (CPU: f32) operations a second.
  double peak_bytes = 0;
  double peak_flops = 0;
  std::vector<BenchResult> results;
};

// Random tokens; greedy choice, as a generator's step does it, without text. First the batches,
// then the prompts, in their order. Throws what loading does, kInvalidArgument for sizes out of
// range, kUnsupported for same_layers where layers differ, kOutOfMemory, kDevice, kCancelled.
BenchReport Bench(const BenchOptions& options,
                  const std::function<void(const BenchResult&)>& done = {},
                  const std::function<bool()>& cancelled = {});

}  // namespace awq
