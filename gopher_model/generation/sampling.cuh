// Drawing the next token where the logits are, on a CUDA device: only the token is copied to the host.
#pragma once

#include <burrow/ops/argmax/cuda.cuh>
#include <burrow/ops/gather/sort.cuh>

#include "gopher_model/generation/sampling.hpp"

namespace gopher {
namespace detail {

namespace cuda = burrow::cuda;

/// The largest logit, the first of equals, and the first that gives no probability; -1 where there is none.
struct LogitScan {
  float largest;
  std::int32_t likeliest, refused;
};
struct LogitScanOf {
  template <class S>
  static constexpr S identity = {-std::numeric_limits<float>::infinity(), -1, -1};

  static constexpr std::int32_t first(std::int32_t a, std::int32_t b) {
    return a < 0 || (b >= 0 && b < a) ? b : a;
  }
  static constexpr LogitScan combine(LogitScan a, LogitScan b) {
    const std::int32_t refused = first(a.refused, b.refused);
    if (a.largest != b.largest)
      return a.largest > b.largest ? LogitScan{a.largest, a.likeliest, refused}
                                   : LogitScan{b.largest, b.likeliest, refused};
    return {a.largest, first(a.likeliest, b.likeliest), refused};
  }
};

/// One block: result = what is known of all logits.
template <class T>
__global__ void scan_logits(Index count, const T* logits, LogitScan* result) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  LogitScan scan{-infinity, -1, -1};
  for (Index i = threadIdx.x; i < count; i += blockDim.x) {
    const T logit = logits[i];
    const auto at = static_cast<std::int32_t>(i);
    if (logit != logit || logit == infinity)
      scan = LogitScanOf::combine(scan, {-infinity, -1, at});
    else if (logit > -infinity)
      scan = LogitScanOf::combine(scan, {logit, at, -1});
  }
  scan = cuda::block_reduce<LogitScanOf>(scan);
  if (threadIdx.x == 0) *result = scan;
}

/// Ids that grow as logits fall; zeros of both signs are equal.
struct DescendingLogits {
  const float* logits;
  __device__ burrow::detail::PlacedId operator()(Index i) const {
    const auto bits = std::bit_cast<std::uint32_t>(logits[i] + 0.0f);
    return {(bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFu, static_cast<std::uint32_t>(i)};
  }
};

/// Candidates by rank, or by index where `order` is null, and what their probabilities are proportional to.
struct Candidates {
  const float* logits;
  const burrow::detail::PlacedId* order;
  float largest;
  double temperature;

  __device__ std::int32_t token(Index i) const {
    return static_cast<std::int32_t>(order == nullptr ? i : Index{order[i].position});
  }
  __device__ double weight(Index i) const {
    return std::exp((double{logits[token(i)]} - double{largest}) / temperature);
  }
};

/// The first of `count` candidates at which the running sum of weights reaches `enough`, or exceeds it;
/// `count` where none does. Also the sum of all that were looked at. In all threads of the block.
struct Reached {
  Index first;
  double sum;
};
__device__ inline Reached reach(const Candidates& candidates, Index count, double enough, bool exceed) {
  __shared__ double of_warps[cuda::warp_size];
  const int lane = static_cast<int>(threadIdx.x) % cuda::warp_size;
  const int warp = static_cast<int>(threadIdx.x) / cuda::warp_size;
  double before = 0;
  for (Index base = 0; base < count; base += blockDim.x) {
    const Index i = base + threadIdx.x;
    double sum = i < count ? candidates.weight(i) : 0;
    for (int distance = 1; distance < cuda::warp_size; distance *= 2) {
      const double other = __shfl_up_sync(cuda::whole_warp, sum, static_cast<unsigned>(distance));
      if (lane >= distance) sum = other + sum;
    }
    if (lane == cuda::warp_size - 1) of_warps[warp] = sum;
    __syncthreads();
    double earlier = before;
    for (int w = 0; w < static_cast<int>(blockDim.x) / cuda::warp_size; ++w) {
      if (w < warp) earlier += of_warps[w];
      before += of_warps[w];
    }
    __syncthreads();
    const bool reached = i < count && (exceed ? earlier + sum > enough : earlier + sum >= enough);
    const Index first = cuda::block_reduce<burrow::detail::MinimumOf>(reached ? i : count);
    if (first < count) return {first, before};
  }
  return {count, before};
}

struct Rules {
  Index count, most;
  double top_p, share;
};

/// One block: the token at which the running sum of the candidates' weights first exceeds the drawn share.
template <class T>
__global__ void draw_token(Candidates candidates, const LogitScan* scan, Rules rules, T* token) {
  constexpr double everything = std::numeric_limits<double>::infinity();
  candidates.largest = scan->largest;
  Index taken = rules.most;
  if (rules.top_p < 1) {
    const double enough = rules.top_p * reach(candidates, taken, everything, false).sum;
    const Index last = reach(candidates, taken, enough, false).first;
    taken = last + 1 < taken ? last + 1 : taken;
  }
  const double sum = reach(candidates, taken, everything, false).sum;
  const Index drawn = reach(candidates, taken, rules.share * sum, true).first;
  if (threadIdx.x == 0) *token = candidates.token(drawn < taken ? drawn : taken - 1);
}

}  // namespace detail

/// sample_token of logits on the device: by the same rules the same token, where sums of weights in another
/// order do not decide. The work of ranking is that of sorting, for top_k and top_p alone.
template <class S>
std::int32_t sample_token(const burrow::Tensor<float, S, burrow::Cuda>& logits,
                          const SamplingOptions& options, burrow::Key key, std::uint64_t position) {
  using burrow::Buffer, burrow::Cpu, burrow::Cuda;
  if (!options.greedy) check(options);
  constexpr unsigned threads = 512;
  const Index count = logits.size();
  struct Result {
    detail::LogitScan scan;
    std::int32_t token;
  } result{};
  const Buffer<Cuda> room{sizeof(result)};
  auto* const on_device = static_cast<Result*>(room.data());
  burrow::cuda::launch("sample_token", detail::scan_logits<float>, {1, 1, 1, threads}, count, logits.data(),
                       &on_device->scan);
  if (!options.greedy) {
    const Index most = options.top_k > 0 ? std::min(options.top_k, count) : count;
    Buffer<Cuda> order;
    if (options.top_k > 0 || options.top_p < 1)
      order = burrow::detail::sorted_by_id(count, Index{1} << 32, detail::DescendingLogits{logits.data()});
    burrow::cuda::launch(
        "sample_token", detail::draw_token<std::int32_t>, {1, 1, 1, threads},
        detail::Candidates{logits.data(), static_cast<const burrow::detail::PlacedId*>(order.data()), 0,
                           options.temperature},
        static_cast<const detail::LogitScan*>(&on_device->scan),
        detail::Rules{count, most, options.top_p, drawn_share(key, position)}, &on_device->token);
  }
  copy_bytes(Cuda{}, Cpu{}, &result, room.data(), sizeof(result));
  if (result.scan.refused >= 0) {
    const auto at = static_cast<std::size_t>(result.scan.refused);
    float logit = 0;
    copy_bytes(Cuda{}, Cpu{}, &logit, logits.data() + at, sizeof(logit));
    throw refused_logit(at, logit);
  }
  if (result.scan.likeliest < 0) throw no_token(static_cast<std::size_t>(count));
  return options.greedy ? result.scan.likeliest : result.token;
}

}  // namespace gopher
