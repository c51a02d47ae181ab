// What the red lamp shows, as a function of time. Pure.
#pragma once

#include <cstdint>

#include "failure.h"

namespace cam {

enum class Signal : uint8_t {
  Starting,  ///< lit
  NoWifi,    ///< five times a second
  Ready,     ///< a spark every four seconds
  Working,   ///< lit: a picture is taken or sent
  Again,     ///< two sparks every two seconds: it failed and is tried again
  Stored,    ///< one second, once
  Failed,    ///< one long, then as many short as `Failure` says, again and again
};

constexpr uint32_t STORED_MS = 1000;
/// How long a failure is told.
constexpr uint32_t FAILED_MS = 60 * 1000;
/// Tells any failure once.
constexpr uint32_t FAILED_ONCE_MS = 6500;

/// Whether it is lit `elapsed_ms` after the signal began.
bool is_lit(Signal signal, Failure failure, uint32_t elapsed_ms);

/// What is shown: what is going on; else the last failure for as long as it is told, also when later pictures arrive
/// meanwhile; else how things stand.
class Lamp {
 public:
  void show(Signal signal, Failure failure, uint32_t now_ms);

  bool is_lit(uint32_t now_ms, bool has_wifi);

 private:
  Signal signal_ = Signal::Starting;
  uint32_t since_ms_ = 0;
  Failure failure_ = Failure::None;
  uint32_t failed_ms_ = 0;
};

}  // namespace cam
