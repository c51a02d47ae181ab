// What goes out on `/stream`, as text. Pure.
#pragma once

#include <cstdint>
#include <cstdio>

#include "picture.h"

namespace cam {

constexpr char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\n"
    "Content-Type: multipart/x-mixed-replace; boundary=frame\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Cache-Control: no-store\r\n"
    "Connection: close\r\n"
    "\r\n";

/// Pictures a second at most; the Wi-Fi of the board carries some eight of UXGA.
constexpr uint32_t STREAM_PICTURES_PER_SECOND = 10;

/// The line that ends a picture, which readers wait for, stands behind it and not before the next one.
constexpr char PART_END[] = "\r\n";

/// Before each picture. Returns its length, 0 if `out` is too small.
inline size_t part_head(char* out, size_t room, size_t length, int64_t taken_at_us) {
  char stamp[32];
  time_stamp(stamp, sizeof stamp, taken_at_us);
  const int written = snprintf(out, room,
                               "--frame\r\n"
                               "Content-Type: image/jpeg\r\n"
                               "Content-Length: %zu\r\n"
                               "X-Timestamp: %s\r\n"
                               "\r\n",
                               length, stamp);
  return written > 0 && static_cast<size_t>(written) < room ? static_cast<size_t>(written) : 0;
}

}  // namespace cam
