// When is a contact closed? A contact bounces for some milliseconds when it closes and when it opens, and a long wire
// picks up spikes. Pure.
#pragma once

#include <cstdint>

namespace cam {

class Button {
 public:
  /// A level counts once it has stayed for so long.
  static constexpr uint32_t SETTLE_MS = 30;

  /// To be called every few milliseconds. True once for each time the contact is closed, and not again before it was
  /// open. A contact that is closed at the start closes nothing.
  bool update(bool is_down, uint32_t now_ms) {
    if (!has_level_ || is_down != level_) {
      level_ = is_down;
      since_ms_ = now_ms;
      has_level_ = true;
    }
    if (now_ms - since_ms_ < SETTLE_MS || level_ == settled_) return false;
    settled_ = level_;
    return settled_;
  }

  /// When the level that is there began: the instant of the press.
  uint32_t since_ms() const { return since_ms_; }

 private:
  bool has_level_ = false;
  bool level_ = false;
  /// Closed, so that it has to be seen open first.
  bool settled_ = true;
  uint32_t since_ms_ = 0;
};

}  // namespace cam
