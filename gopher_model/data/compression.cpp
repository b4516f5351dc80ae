#include "gopher_model/data/compression.hpp"

#define ZLIB_CONST  // zlib then takes input that it may not change
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <burrow/core/error.hpp>
#include <limits>
#include <memory>
#include <new>

namespace gopher {

namespace {

[[noreturn]] void refuse(const std::string& name, std::size_t byte, const std::string& reason) {
  throw burrow::IoError(name + " is damaged at byte " + std::to_string(byte) + ": " + reason + ".");
}

// Room for more output behind the `filled` bytes of `out`.
void make_room(std::string& out, std::size_t filled) {
  constexpr std::size_t least = std::size_t{1} << 16;
  if (filled == out.size()) out.resize(std::max(least, 2 * out.size()));
}

class Inflater {
 public:
  Inflater() {
    constexpr int gzip_only = 16 + MAX_WBITS;
    if (::inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc{};
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { ::inflateEnd(&stream_); }

  z_stream* operator->() { return &stream_; }
  int inflate() { return ::inflate(&stream_, Z_NO_FLUSH); }
  void next_member() { ::inflateReset(&stream_); }

 private:
  z_stream stream_{};
};

std::string from_gzip(std::string_view bytes, const std::string& name) {
  constexpr std::size_t most = std::numeric_limits<uInt>::max();
  Inflater inflater;
  std::string out;
  std::size_t read = 0, filled = 0;
  bool complete = false;
  while (!complete || read < bytes.size()) {
    if (complete) inflater.next_member();
    make_room(out, filled);
    const std::size_t given = std::min(bytes.size() - read, most);
    const std::size_t room = std::min(out.size() - filled, most);
    inflater->next_in = reinterpret_cast<const Bytef*>(bytes.data() + read);
    inflater->avail_in = static_cast<uInt>(given);
    inflater->next_out = reinterpret_cast<Bytef*>(out.data() + filled);
    inflater->avail_out = static_cast<uInt>(room);
    const int code = inflater.inflate();
    read += given - inflater->avail_in;
    filled += room - inflater->avail_out;
    if (code == Z_MEM_ERROR) throw std::bad_alloc{};
    if (code == Z_BUF_ERROR) refuse(name, read, "the file ends in the middle of its gzip data");
    if (code != Z_OK && code != Z_STREAM_END)
      refuse(name, read, inflater->msg != nullptr ? inflater->msg : "this is not gzip data");
    complete = code == Z_STREAM_END;
  }
  out.resize(filled);
  return out;
}

std::string from_zstandard(std::string_view bytes, const std::string& name) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), ZSTD_freeDCtx};
  if (!context) throw std::bad_alloc{};
  std::string out;
  std::size_t filled = 0, missing = 1;
  ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
  while (missing > 0 || input.pos < input.size) {
    make_room(out, filled);
    const std::size_t before = input.pos;
    ZSTD_outBuffer output{out.data(), out.size(), filled};
    missing = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(missing) != 0) refuse(name, input.pos, ZSTD_getErrorName(missing));
    const bool stuck = input.pos == before && output.pos == filled;
    if (stuck && missing > 0) refuse(name, input.pos, "the file ends in the middle of its zstd data");
    filled = output.pos;
  }
  out.resize(filled);
  return out;
}

}  // namespace

Compression compression_of(std::string_view bytes) {
  if (bytes.starts_with("\x1F\x8B")) return Compression::gzip;
  return bytes.starts_with("\x28\xB5\x2F\xFD") ? Compression::zstandard : Compression::none;
}

Compression compression_of_name(std::string_view name) {
  if (name.ends_with(".gz")) return Compression::gzip;
  return name.ends_with(".zst") ? Compression::zstandard : Compression::none;
}

std::string unpacked(std::string_view bytes, Compression compression, const std::string& name) {
  switch (compression) {
    case Compression::none:
      break;
    case Compression::gzip:
      return from_gzip(bytes, name);
    case Compression::zstandard:
      return from_zstandard(bytes, name);
  }
  return std::string{bytes};
}

}  // namespace gopher
