// Pictures that wait for delivery: put in by whoever takes them, taken out by whoever sends them.
#pragma once

#include <cstddef>
#include <mutex>

#include "picture.h"

namespace cam {

class Outbox {
 public:
  /// UXGA pictures are some 200 kB, of 4 MB.
  static constexpr size_t ROOM = 8;

  explicit Outbox(size_t room = ROOM) : room_(room < 1 ? 1 : room < ROOM ? room : ROOM) {}

  bool has_room() {
    std::lock_guard<std::mutex> guard(mutex_);
    return count_ < room_;
  }

  /// False, and the picture stays with the caller, where there is no room.
  bool put(Picture& picture) {
    std::lock_guard<std::mutex> guard(mutex_);
    if (count_ >= room_) return false;
    pictures_[(first_ + count_) % ROOM] = std::move(picture);
    count_++;
    return true;
  }

  /// The oldest, which keeps its place until `drop_first`: it stays put while it is sent. Null where none waits.
  const Picture* first() {
    std::lock_guard<std::mutex> guard(mutex_);
    return count_ > 0 ? &pictures_[first_] : nullptr;
  }

  void drop_first() {
    std::lock_guard<std::mutex> guard(mutex_);
    if (count_ == 0) return;
    pictures_[first_] = Picture{};
    first_ = (first_ + 1) % ROOM;
    count_--;
  }

 private:
  const size_t room_;
  std::mutex mutex_;
  Picture pictures_[ROOM];
  size_t first_ = 0;
  size_t count_ = 0;
};

}  // namespace cam
