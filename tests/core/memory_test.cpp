#include <algorithm>
#include <burrow/core/memory.hpp>
#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <thread>
#include <vector>

using namespace burrow;

TEST_CASE("A freed block is used again for a request of its size class") {
  trim_memory();
  { Buffer<Cpu> warm{1000}; }
  const auto before = memory_statistics();
  for (int i = 0; i < 100; ++i) {
    Buffer<Cpu> again{1000 - i % 8};
    std::memset(again.data(), i, 900);
  }
  const auto after = memory_statistics();
  CHECK(after.system_allocations == before.system_allocations);
  CHECK(after.bytes_from_system == before.bytes_from_system);
  CHECK(after.bytes_in_use == before.bytes_in_use);
}

TEST_CASE("Blocks are large enough, aligned, disjoint, and waste little") {
  std::vector<Buffer<Cpu>> buffers;
  std::vector<Index> sizes;
  for (Index size = 1; size < (Index{8} << 20); size = size * 5 / 4 + 1) sizes.push_back(size);
  for (const Index size : sizes) {
    const auto before = memory_statistics().bytes_in_use;
    buffers.emplace_back(size);
    const Index block = memory_statistics().bytes_in_use - before;
    CHECK(block >= size);
    CHECK(block == detail::HostPool::bytes_of_block(size));
    if (size >= 1024) CHECK(block <= size + size / 7);
    CHECK(reinterpret_cast<std::uintptr_t>(buffers.back().data()) % 64 == 0);
    std::memset(buffers.back().data(), static_cast<int>(buffers.size()), static_cast<std::size_t>(size));
  }
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    const auto* const bytes = static_cast<const unsigned char*>(buffers[b].data());
    CHECK(bytes[0] == static_cast<unsigned char>(b + 1));
    CHECK(bytes[sizes[b] - 1] == static_cast<unsigned char>(b + 1));
  }
}

TEST_CASE("Statistics count bytes in use and their peak") {
  const auto before = memory_statistics();
  reset_peak_memory();
  CHECK(memory_statistics().peak_bytes_in_use == before.bytes_in_use);
  {
    Buffer<Cpu> a{5000};
    { Buffer<Cpu> b{7000}; }
    CHECK(memory_statistics().bytes_in_use >= before.bytes_in_use + 5000);
    const auto values = memory_statistics();
    CHECK(values.value_bytes_in_use - before.value_bytes_in_use == values.bytes_in_use - before.bytes_in_use);
    Buffer<Cpu> scratch{60000, MemoryUse::scratch};
    std::vector<int, PoolAllocator<int>> record(10000);
    CHECK(memory_statistics().bytes_in_use >= values.bytes_in_use + 100000);
    CHECK(memory_statistics().value_bytes_in_use == values.value_bytes_in_use);
    CHECK(memory_statistics().peak_value_bytes < before.value_bytes_in_use + 16000);
  }
  CHECK(memory_statistics().value_bytes_in_use == before.value_bytes_in_use);
  CHECK(memory_statistics().bytes_in_use == before.bytes_in_use);
  CHECK(memory_statistics().peak_bytes_in_use >= before.bytes_in_use + 12000);
}

TEST_CASE("trim gives all unused blocks back") {
  Buffer<Cpu> kept{3000};
  { Buffer<Cpu> dropped{4000}; }
  trim_memory();
  const auto statistics = memory_statistics();
  CHECK(statistics.bytes_from_system == statistics.bytes_in_use);
  Buffer<Cpu> fresh{4000};
  CHECK(memory_statistics().system_allocations == statistics.system_allocations + 1);
}

TEST_CASE("A handle is unique until it is copied") {
  Buffer<Cpu> a{100};
  CHECK(a.unique());
  {
    const Buffer<Cpu> b = a;
    CHECK(a.data() == b.data());
    CHECK_FALSE(a.unique());
    CHECK_FALSE(b.unique());
  }
  CHECK(a.unique());
  const Buffer<Cpu> moved = std::move(a);
  CHECK(moved.unique());
  Storage other = moved;
  other = Storage{};
  CHECK(moved.unique());
  CHECK(Buffer<Cpu>{}.unique());
  CHECK(Buffer<Cpu>{0}.data() == nullptr);
}

TEST_CASE("Handles are counted and blocks recycled across threads") {
  const auto before = memory_statistics().bytes_in_use;
  {
    const Buffer<Cpu> shared{256};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&shared] {
        for (int i = 0; i < 2000; ++i) {
          const Buffer<Cpu> copy = shared;
          Buffer<Cpu> own{64 + i};
          static_cast<char*>(own.data())[i] = 1;
        }
      });
    for (auto& thread : threads) thread.join();
    CHECK(shared.unique());
  }
  CHECK(memory_statistics().bytes_in_use == before);
}

TEST_CASE("More memory than there is is an error that says so") {
  const auto before = memory_statistics();
  CHECK_THROWS_WITH(Buffer<Cpu>{Index{1} << 60}, Catch::Contains("memory: the system has no"));
  CHECK(memory_statistics().bytes_in_use == before.bytes_in_use);
}

namespace {
/// A system of 10,000 bytes.
struct LittleMemory {
  static constexpr const char* owner = "a little system";
  static inline Index left = 10'000;
  static inline std::map<void*, Index> taken{};

  static void* take(Index bytes) {
    if (bytes > left) return nullptr;
    left -= bytes;
    void* const data = std::aligned_alloc(64, static_cast<std::size_t>(bytes));
    taken[data] = bytes;
    return data;
  }
  static void give_back(void* data) {
    left += taken.extract(data).mapped();
    std::free(data);
  }
  static bool may_give_back() { return true; }
};
}  // namespace

TEST_CASE("A large unused block serves smaller requests, and is whole again after them") {
  constexpr Index mebibyte = Index{1} << 20;
  trim_memory();
  const auto taken = [] { return memory_statistics().bytes_from_system; };
  const auto in_use = memory_statistics().bytes_in_use;
  const void* place = nullptr;
  {
    const Buffer<Cpu> large{64 * mebibyte};
    place = large.data();
  }
  const Index with_large = taken();
  for (int round = 0; round < 3; ++round) {
    std::vector<Buffer<Cpu>> parts;
    for (const Index size : {5, 24, 6, 5, 6}) {
      parts.emplace_back(size * mebibyte);
      std::memset(parts.back().data(), static_cast<int>(parts.size()),
                  static_cast<std::size_t>(size * mebibyte));
    }
    CHECK(taken() == with_large);
    for (std::size_t p = 0; p < parts.size(); ++p)
      CHECK(*static_cast<const char*>(parts[p].data()) == static_cast<char>(p + 1));
    std::swap(parts[1], parts[3]);
    parts.clear();
    CHECK(memory_statistics().bytes_in_use == in_use);
    CHECK(Buffer<Cpu>{64 * mebibyte}.data() == place);
    CHECK(taken() == with_large);
  }
  const Buffer<Cpu> small{mebibyte};  // of its own
  CHECK(taken() > with_large);
  std::optional<Buffer<Cpu>> part{5 * mebibyte};
  trim_memory();
  CHECK(taken() >= with_large);
  part.reset();
  trim_memory();
  CHECK(taken() == memory_statistics().bytes_in_use);
}

TEST_CASE("Where memory ends, unused blocks of other sizes are given back for one that is asked for") {
  auto& pool = detail::BlockPool<LittleMemory>::instance();
  detail::Block* const kept = pool.allocate(4000);
  pool.release(pool.allocate(2000));
  pool.release(pool.allocate(1000));
  detail::Block* const large = pool.allocate(5000);
  CHECK(pool.statistics().bytes_from_system == kept->bytes + large->bytes);
  CHECK_THROWS_WITH(pool.allocate(5000), Catch::Contains("memory: a little system has no"));
  pool.release(kept);
  pool.release(large);
  pool.trim();
  CHECK(LittleMemory::left == 10'000);
}

TEST_CASE("Containers with the pool's allocator return what they took") {
  const auto before = memory_statistics().bytes_in_use;
  {
    std::vector<double, PoolAllocator<double>> values;
    for (int i = 0; i < 10000; ++i) values.push_back(i);
    CHECK(values[9999] == 9999);
  }
  CHECK(memory_statistics().bytes_in_use == before);
}

TEST_CASE("Blocks that a repeated computation used go to nobody else until it is over") {
  auto& pool = detail::HostPool::instance();
  constexpr Index bytes = 7777;
  std::optional<Buffer<Cpu>> before{bytes}, result;
  const auto in_use = memory_statistics().bytes_in_use;
  detail::KeptBlocks kept;
  std::vector<const void*> used{before->data()};
  pool.keep_in(&kept);
  {
    const Buffer<Cpu> first{bytes};
    used.push_back(first.data());
    before.reset();
    result.emplace(bytes);
    used.push_back(result->data());
  }
  const void* const again = Buffer<Cpu>{bytes}.data();
  CHECK(again == used[1]);  // what the computation itself gave back, not what it read
  pool.keep_in(nullptr);
  const auto is_used = [&](const void* data) {
    return std::find(used.begin(), used.end(), data) != used.end();
  };
  {
    std::vector<Buffer<Cpu>> others;
    for (int i = 0; i < 8; ++i) others.emplace_back(bytes);
    CHECK(std::none_of(others.begin(), others.end(), [&](const auto& b) { return is_used(b.data()); }));
  }
  result.reset();
  CHECK(!is_used(Buffer<Cpu>{bytes}.data()));
  result.emplace(bytes);
  pool.give_back(kept);
  CHECK(is_used(Buffer<Cpu>{bytes}.data()));
  CHECK(memory_statistics().bytes_in_use == in_use);  // `result` in the place of `before`
}
