// awq_cuda_bench: checks and times the CUDA kernels without an engine.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "awq/backend/cuda/bench/attention_timing.h"
#include "awq/backend/cuda/bench/issue_timing.h"
#include "awq/backend/cuda/bench/sample_timing.h"
#include "awq/backend/cuda/bench/timing.h"
#include "awq/backend/cuda/bench/verify.h"
#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {
namespace {

constexpr const char* kUsage =
    "usage: awq_cuda_bench verify [--small] [--kernel PART]\n"
    "       awq_cuda_bench attention\n"
    "       awq_cuda_bench sample\n"
    "       awq_cuda_bench issue\n"
    "       awq_cuda_bench bench [--bf16] [--date YYYY-MM-DD] [--json FILE]\n"
    "       awq_cuda_bench sweep [--kernel PART] [--layer PART,NxK] [--rows M,M]\n";

const std::vector<LayerShape> kLayers = {
    {"qkv8b", 6144, 4096}, {"o8b", 4096, 4096}, {"gateup8b", 28672, 4096}, {"down8b", 4096, 14336}};

std::string Option(int argc, char** argv, const char* name) {
  for (int i = 2; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return argv[i + 1];
  }
  return "";
}
bool Flag(int argc, char** argv, const char* name) {
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return true;
  }
  return false;
}

// Of a list of parts of names and of sizes, outputs x inputs; empty: all that have names.
std::vector<LayerShape> LayersOf(const std::string& option) {
  if (option.empty()) return kLayers;
  std::vector<LayerShape> out;
  std::istringstream list(option);
  for (std::string part; std::getline(list, part, ',');) {
    long n = 0;
    long k = 0;
    if (std::sscanf(part.c_str(), "%ldx%ld", &n, &k) == 2 && n > 0 && k > 0) {
      out.push_back({part, n, k});
      continue;
    }
    for (const LayerShape& l : kLayers) {
      if (l.name.find(part) != std::string::npos) out.push_back(l);
    }
  }
  return out;
}

void WriteJson(const std::string& path, const std::string& gpu, const std::string& date,
               const Ceilings& ceilings, const std::vector<Measurement>& measurements) {
  nlohmann::ordered_json out;
  out["gpu"] = gpu;
  out["date"] = date;
  out["read_tbps"] = ceilings.read_tbps;
  out["fp16_tflops"] = ceilings.fp16_tflops;
  for (const Measurement& m : measurements) {
    out["measurements"].push_back({{"name", m.name},
                                   {"shape", {m.n, m.k}},
                                   {"m", m.m},
                                   {"median", m.time.median_us},
                                   {"spread", {m.time.min_us, m.time.max_us}},
                                   {"unit", "us"},
                                   {"limit", m.limit_us}});
    if (m.baseline.median_us == 0.0) continue;
    out["measurements"].back()["baseline"] = "cublas_fp16";
    out["measurements"].back()["baseline_median"] = m.baseline.median_us;
  }
  std::ofstream file(path);
  file << out.dump(1) << "\n";
  AWQ_CHECK(file.good(), kIo, path, ": cannot write");
}

int Run(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const std::set<std::string> modes = {"verify", "attention", "sample", "issue", "bench", "sweep"};
  if (!modes.contains(mode)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const DeviceLimits device = ReadDeviceLimits();
  std::printf("%s, sm_%d, %d SMs\n", device.name.c_str(), device.arch, device.sms);
  const std::string pattern = Option(argc, argv, "--kernel");
  if (mode == "verify") {
    return VerifyAll(device, Flag(argc, argv, "--small"), pattern) == 0 ? 0 : 1;
  }
  if (mode == "sample") return TimeSampling(device) == 0 ? 0 : 1;
  if (mode == "issue") {
    TimeIssue();
    return 0;
  }
  const Ceilings ceilings = MeasureCeilings();
  std::printf("read %.2f TB/s, cuBLAS fp16 %.0f TFLOP/s\n", ceilings.read_tbps,
              ceilings.fp16_tflops);
  if (mode == "sweep") {
    const std::vector<LayerShape> layers = LayersOf(Option(argc, argv, "--layer"));
    std::vector<int64_t> rows;
    std::istringstream list(Option(argc, argv, "--rows"));
    for (std::string m; std::getline(list, m, ',');) rows.push_back(std::stoll(m));
    if (rows.empty()) rows = {16, 32, 64, 128, 256};
    SweepTable(device, ceilings, layers, rows, pattern);
    return 0;
  }
  auto measurements = TimeAttention(device, ceilings);
  if (mode == "attention") return 0;
  const auto linears =
      TimeLinears(device, ceilings, kLayers, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096},
                  Flag(argc, argv, "--bf16"));
  measurements.insert(measurements.end(), linears.begin(), linears.end());
  const std::string path = Option(argc, argv, "--json");
  if (!path.empty()) {
    WriteJson(path, device.name, Option(argc, argv, "--date"), ceilings, measurements);
  }
  return 0;
}

}  // namespace
}  // namespace awq::cuda

int main(int argc, char** argv) {
  try {
    return awq::cuda::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "awq_cuda_bench: %s\n", error.what());
    return 1;
  }
}
