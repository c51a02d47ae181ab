#include "picture.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace cam {

namespace {

/// What `snprintf` says as the length of a whole text, or 0.
size_t whole(int written, size_t room) {
  return written > 0 && static_cast<size_t>(written) < room ? static_cast<size_t>(written) : 0;
}

}  // namespace

Picture::Picture(const uint8_t* from, size_t count, int64_t taken_at) : taken_at_us(taken_at) {
  bytes.reset(static_cast<uint8_t*>(malloc(count)));
  if (bytes) {
    memcpy(bytes.get(), from, count);
    length = count;
  }
}

size_t whole_jpeg(const uint8_t* bytes, size_t length) {
  // SOI, EOI, and something between them.
  if (bytes == nullptr || length < 8 || bytes[0] != 0xFF || bytes[1] != 0xD8 || bytes[2] != 0xFF) return 0;
  size_t end = length;
  while (end > 0 && bytes[end - 1] == 0) end--;
  return end >= 8 && bytes[end - 2] == 0xFF && bytes[end - 1] == 0xD9 ? end : 0;
}

size_t file_name(char* out, size_t room, const char* device, PictureId id) {
  return whole(snprintf(out, room, "%s_%08" PRIx32 "_%06" PRIu32 ".jpg", device, id.series, id.number), room);
}

size_t picture_key(char* out, size_t room, const char* device, PictureId id) {
  return whole(snprintf(out, room, "%s-%08" PRIx32 "-%" PRIu32, device, id.series, id.number), room);
}

size_t time_stamp(char* out, size_t room, int64_t at_us) {
  const int64_t at = at_us < 0 ? 0 : at_us;
  return whole(snprintf(out, room, "%" PRId64 ".%06" PRId64, at / 1000000, at % 1000000), room);
}

}  // namespace cam
