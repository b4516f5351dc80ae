#include "gopher_model/data/token_shards.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "gopher_model/tokenizer/checksum.hpp"

namespace gopher {

namespace {

static_assert(std::endian::native == std::endian::little, "shards are little-endian");

constexpr std::array<char, 8> shard_magic{'g', 'o', 'p', 'h', 't', 'o', 'k', 's'};
constexpr std::uint32_t shard_version = 1;

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t token_bytes;
  std::uint64_t vocabulary;
  std::uint64_t tokens;
  std::uint64_t text_bytes;
  std::uint64_t source;
  std::uint64_t checksum;  // of the fields above and the tokens
  std::uint64_t reserved;
};
static_assert(sizeof(Header) == 64 && std::is_trivially_copyable_v<Header>);

std::uint32_t token_bytes(std::uint64_t vocabulary) { return vocabulary <= 65'536 ? 2 : 4; }

template <class T>
std::string_view as_bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

std::uint64_t shard_checksum(Header header, std::string_view tokens) {
  header.checksum = 0;
  return checksum(tokens, checksum(as_bytes(std::span<const Header>{&header, 1})));
}

class Mapping {
 public:
  explicit Mapping(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path, "cannot be opened");
    struct stat status {};
    const bool is_known = ::fstat(file, &status) == 0;
    size_ = is_known && S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : 0;
    if (size_ > 0) start_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    ::close(file);
    if (start_ == MAP_FAILED) fail(path, "cannot be mapped into memory");
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (size_ > 0 && start_ != MAP_FAILED) ::munmap(start_, size_);
  }

  std::string_view bytes() const { return {static_cast<const char*>(start_), size_}; }

 private:
  [[noreturn]] static void fail(const std::string& path, const std::string& what) {
    throw burrow::IoError(path + " " + what + ": " + std::generic_category().message(errno) + ".");
  }

  void* start_ = nullptr;
  std::size_t size_ = 0;
};

void check_header(const Header& header, std::string_view tokens, const std::string& path) {
  if (header.version != shard_version) {
    throw burrow::IoError(path + " is a token shard of version " + std::to_string(header.version) +
                          "; this program reads version " + std::to_string(shard_version) + ".");
  }
  const bool is_sound = header.vocabulary > 0 && header.token_bytes == token_bytes(header.vocabulary) &&
                        header.vocabulary <= std::uint64_t{std::numeric_limits<std::int32_t>::max()};
  if (!is_sound) throw burrow::IoError(path + " is damaged: its header contradicts itself.");
  if (tokens.size() % header.token_bytes != 0 || tokens.size() / header.token_bytes != header.tokens) {
    throw burrow::IoError(path + " is damaged: it should hold " + std::to_string(header.tokens) +
                          " tokens but has " + std::to_string(tokens.size()) + " bytes of them.");
  }
  if (header.checksum != shard_checksum(header, tokens)) {
    throw burrow::IoError(path + " is damaged: its checksum does not match its contents.");
  }
}

template <class T>
std::span<const T> checked_tokens(std::string_view bytes, std::uint64_t vocabulary, const std::string& path) {
  const std::span<const T> tokens{reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  const bool is_sound = std::all_of(tokens.begin(), tokens.end(), [vocabulary](T token) {
    return token >= 0 && static_cast<std::uint64_t>(token) < vocabulary;
  });
  if (!is_sound) throw burrow::IoError(path + " holds tokens outside of its own vocabulary.");
  return tokens;
}

}  // namespace

std::uint64_t shard_source(const Tokenizer& tokenizer, std::span<const Document> documents) {
  std::uint64_t source = checksum(tokenizer.serialized());
  for (const auto& document : documents) source = checksum(document.text, source);
  return source;
}

void write_shard(const std::string& path, const TokenDataset& dataset, std::uint64_t source) {
  const auto vocabulary = static_cast<std::uint64_t>(dataset.vocabulary());
  Header header{shard_magic,
                shard_version,
                token_bytes(vocabulary),
                vocabulary,
                dataset.size(),
                dataset.bytes(),
                source,
                0,
                0};
  std::vector<std::uint16_t> narrow;
  std::string_view tokens = std::visit([](auto stored) { return as_bytes(stored); }, dataset.view());
  if (const auto* wide = std::get_if<0>(&dataset.view()); wide != nullptr && header.token_bytes == 2) {
    narrow.reserve(wide->size());
    for (const auto token : *wide) narrow.push_back(static_cast<std::uint16_t>(token));
    tokens = as_bytes(std::span<const std::uint16_t>{narrow});
  }
  header.checksum = shard_checksum(header, tokens);
  burrow::write_atomically(path, [&](burrow::AtomicFile& file) {
    file.write(as_bytes(std::span<const Header>{&header, 1}));
    file.write(tokens);
  });
}

Shard read_shard(const std::string& path) {
  const auto mapping = std::make_shared<const Mapping>(path);
  Header header{};
  if (mapping->bytes().size() >= sizeof header) std::memcpy(&header, mapping->bytes().data(), sizeof header);
  if (header.magic != shard_magic) throw burrow::IoError(path + " is not a token shard.");
  const auto bytes = mapping->bytes().substr(sizeof header);
  check_header(header, bytes, path);
  const auto vocabulary = static_cast<std::int64_t>(header.vocabulary);
  TokenDataset::View view;
  if (header.token_bytes == 2) view = checked_tokens<std::uint16_t>(bytes, header.vocabulary, path);
  if (header.token_bytes == 4) view = checked_tokens<std::int32_t>(bytes, header.vocabulary, path);
  return {TokenDataset{view, mapping, vocabulary, header.text_bytes}, header.source};
}

namespace {

// The shard at `path`, for those who can do without it.
Shard read_cache(const std::string& path) {
  try {
    return read_shard(path);
  } catch (const burrow::IoError& error) {
    throw burrow::IoError(std::string(error.what()) + " Remove it, and the text is encoded again.");
  }
}

}  // namespace

TokenDataset cached_tokens(const std::string& path, const Tokenizer& tokenizer,
                           std::span<const Document> documents) {
  const std::uint64_t source = shard_source(tokenizer, documents);
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    const Shard shard = read_cache(path);
    if (shard.source == source) return shard.dataset;
  }
  auto dataset = TokenDataset::encode(tokenizer, documents);
  write_shard(path, dataset, source);
  return dataset;
}

}  // namespace gopher
