// Why a picture did not arrive: the closed set that the lamp and the serial line tell.
#pragma once

#include <cstdint>

namespace cam {

/// The number is what the lamp blinks.
enum class Failure : uint8_t {
  None = 0,
  Camera = 1,    ///< the sensor gave no whole picture, or there was no memory for it
  NoAnswer = 2,  ///< no Wi-Fi, nobody at the address, or the connection broke each time
  Token = 3,     ///< 401, 403
  TooLarge = 4,  ///< 413
  Picture = 5,   ///< 415, 422: the server read it and does not want it
  Address = 6,   ///< anything else that is no yes: not the server that was meant, or not the path
  Busy = 7,      ///< 408, 429, 5xx, 507 until there was no more patience
  Waiting = 8,   ///< as many pictures wait already as there is room for
};

/// What it is and what to do, for the serial line.
const char* words(Failure failure);

}  // namespace cam
