// When the next picture by time is due, and whether the board sleeps until then. Pure.
#pragma once

#include <cstdint>

#include "settings.h"

namespace cam {

enum class Duty : uint8_t {
  Awake,
  /// Between pictures all is off but the clock. Only where nobody waits for an answer: a sleeping board serves no page
  /// and feels no contact.
  SleepBetween,
};

constexpr Duty duty_of(const Settings& settings) {
  const bool has_only_a_period =
      !settings.serves && settings.button_pin < 0 && settings.period_s > 0 && settings.upload_host[0] != '\0';
  return has_only_a_period ? Duty::SleepBetween : Duty::Awake;
}

/// How long to sleep after `awake_ms` of work, so that pictures keep their period; at least a second. A round that took
/// longer than the period leaves pictures out and keeps the rhythm.
constexpr uint64_t sleep_us(uint32_t period_s, uint64_t awake_ms) {
  const uint64_t period_ms = static_cast<uint64_t>(period_s) * 1000;
  const uint64_t left_ms = period_ms - awake_ms % period_ms;
  return (left_ms < 1000 ? 1000 : left_ms) * 1000;
}

/// The period of a board that stays awake.
class Period {
 public:
  explicit Period(uint32_t period_s) : period_ms_(period_s * 1000) {}

  /// True once for each picture that is due, the first at once. What was missed meanwhile is not made up for.
  bool is_due(uint32_t now_ms) {
    if (period_ms_ == 0 || (has_begun_ && now_ms - last_ms_ < period_ms_)) return false;
    last_ms_ = has_begun_ ? last_ms_ + (now_ms - last_ms_) / period_ms_ * period_ms_ : now_ms;
    has_begun_ = true;
    return true;
  }

 private:
  uint32_t period_ms_;
  uint32_t last_ms_ = 0;
  bool has_begun_ = false;
};

}  // namespace cam
