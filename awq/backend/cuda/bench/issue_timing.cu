#include "awq/backend/cuda/bench/issue_timing.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/ptx.cuh"

namespace awq::cuda {
namespace {

constexpr int kUnrolled = 16;
constexpr int kRounds = 200;
constexpr int kQuarters = 4;  // of an SM
enum class Beside { kInteger, kFloat, kInTurns };

template <Beside kBeside, int kOthers>
__global__ void IssueKernel(uint32_t seed, uint32_t* out, long long* cycles) {
  float sums[8][4] = {};
  uint32_t a[4][4];
  uint32_t b[4][2];
  uint32_t integers[8];
  float floats[8];
  for (uint32_t i = 0; i < 8; ++i) {
    integers[i] = seed + i + threadIdx.x;
    floats[i] = static_cast<float>(integers[i] & 1023);
  }
  for (uint32_t i = 0; i < 16; ++i) {
    a[i / 4][i % 4] = (seed * (i + 1) & 0x00070007) + threadIdx.x % 5;
    b[i / 2 % 4][i % 2] = (seed * (i + 3) & 0x0fff0fff) + threadIdx.x;
  }
  const float factor = 1.0f + 1e-7f * static_cast<float>(seed);
  __syncthreads();
  const long long begin = clock64();
  for (int round = 0; round < kRounds; ++round) {
#pragma unroll
    for (int u = 0; u < kUnrolled; ++u) {
      Mma<__half>(sums[u % 8], a[u % 4], b[u % 4][0], b[u % 4][1]);
#pragma unroll
      for (int i = 0; i < kOthers; ++i) {
        const int at = (u * kOthers + i) % 8;
        if (kBeside == Beside::kInteger || (kBeside == Beside::kInTurns && i % 2 == 0)) {
          asm volatile("lop3.b32 %0, %0, %1, %2, 0x6a;"
                       : "+r"(integers[at])
                       : "r"(seed), "r"(~seed));
        } else {
          asm volatile("fma.rn.f32 %0, %0, %1, %1;" : "+f"(floats[at]) : "f"(factor));
        }
      }
    }
  }
  const long long end = clock64();
  uint32_t sum = 0;
  for (int i = 0; i < 8; ++i) {
    sum += integers[i] + __float_as_uint(floats[i]);
    for (float v : sums[i]) sum += __float_as_uint(v);
  }
  out[threadIdx.x] = sum;
  if (threadIdx.x % 32 == 0) cycles[threadIdx.x / 32] = end - begin;
}

template <Beside kBeside, int kOthers>
double CyclesOf(int warps, uint32_t* out, long long* cycles) {
  for (int warm = 0; warm < 2; ++warm) {
    IssueKernel<kBeside, kOthers><<<1, static_cast<unsigned>(32 * warps)>>>(12345, out, cycles);
  }
  AWQ_CUDA(cudaGetLastError());
  std::vector<long long> each(static_cast<size_t>(warps));
  AWQ_CUDA(cudaMemcpy(each.data(), cycles, each.size() * sizeof(long long), cudaMemcpyDefault));
  const double products = static_cast<double>(kUnrolled) * kRounds * warps / kQuarters;
  return static_cast<double>(*std::max_element(each.begin(), each.end())) / products;
}

template <Beside kBeside>
void PrintRows(const char* name, uint32_t* out, long long* cycles) {
  for (int warps : {kQuarters, 2 * kQuarters, 4 * kQuarters}) {
    std::printf("%-10s %5d  %5.2f %5.2f %5.2f %5.2f %5.2f\n", name, warps / kQuarters,
                CyclesOf<kBeside, 0>(warps, out, cycles), CyclesOf<kBeside, 1>(warps, out, cycles),
                CyclesOf<kBeside, 2>(warps, out, cycles), CyclesOf<kBeside, 3>(warps, out, cycles),
                CyclesOf<kBeside, 4>(warps, out, cycles));
  }
}

}  // namespace

void TimeIssue() {
  const auto out = AllocDevice<uint32_t>(32 * 4 * kQuarters);
  const auto cycles = AllocDevice<long long>(4 * kQuarters);
  std::printf("cycles of a quarter for mma.m16n8k16 with so many other instructions\n");
  std::printf("%-10s %5s  %5d %5d %5d %5d %5d\n", "others", "warps", 0, 1, 2, 3, 4);
  PrintRows<Beside::kInteger>("integer", out.get(), cycles.get());
  PrintRows<Beside::kFloat>("f32", out.get(), cycles.get());
  PrintRows<Beside::kInTurns>("in turns", out.get(), cycles.get());
}

}  // namespace awq::cuda
