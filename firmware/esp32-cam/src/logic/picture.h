// A picture on its way: its bytes, which one it is, and whether it may be shown to anybody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace cam {

struct FreeBytes {
  void operator()(uint8_t* bytes) const { free(bytes); }
};

/// Which picture it is. `series` is drawn once per installation: with the counter alone, a board whose memory was
/// erased would give the numbers of older pictures to new ones, and the server would take them for the same.
struct PictureId {
  uint32_t series = 0;
  uint32_t number = 0;
};

struct Picture {
  std::unique_ptr<uint8_t, FreeBytes> bytes;
  size_t length = 0;
  /// Begin of the exposure, since the start of the board.
  int64_t taken_at_us = 0;
  PictureId id;
  Picture() = default;
  /// Has no bytes where there is no memory for a copy.
  Picture(const uint8_t* from, size_t count, int64_t taken_at);
};

/// From the start marker to the end marker. Drivers pad with zeros after it, so the end is looked for, `length` is what
/// counts. 0: no whole picture; a torn one is worth nothing to anybody.
size_t whole_jpeg(const uint8_t* bytes, size_t length);

/// Whether a frame was begun when the picture was already wanted. A buffer that was filled before shows the past.
/// A driver that does not stamp its frames has at most two old ones: `earlier` were thrown away.
constexpr bool shows_now(int64_t begun_us, int64_t wanted_us, uint32_t earlier) {
  return begun_us == 0 ? earlier >= 2 : begun_us >= wanted_us;
}

/// `gate_5f3a9c01_000124.jpg`; the same on each attempt. Returns its length, 0 if `out` is too small.
size_t file_name(char* out, size_t room, const char* device, PictureId id);

/// `gate-5f3a9c01-124`: what an `Idempotency-Key` is.
size_t picture_key(char* out, size_t room, const char* device, PictureId id);

/// `12.000345`: seconds and microseconds since the start, as `X-Timestamp` has them.
size_t time_stamp(char* out, size_t room, int64_t at_us);

}  // namespace cam
