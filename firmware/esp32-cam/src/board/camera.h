// The sensor: opened when it is wanted, opened again when it fails, and never a frame from before it was asked for.
#pragma once

#include <mutex>

#include "../logic/picture.h"

namespace cam {

class Camera {
 public:
  /// A picture that was begun at `wanted_us` (since the start of the board) or later. Without bytes if there is none:
  /// the sensor is silent or gives torn frames, or there is no memory. The driver has its buffer back in any case.
  /// Takes some tenths of a second; some ten seconds where the sensor does not answer.
  Picture take(int64_t wanted_us);

  /// Off, as before a sleep.
  void close();

 private:
  bool open();
  Picture take_open(int64_t wanted_us);

  /// The web server's task and that of the contact take pictures.
  std::mutex mutex_;
  bool is_open_ = false;
};

}  // namespace cam
