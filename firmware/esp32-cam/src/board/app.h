// The board as a whole. Four tasks, so that none waits for another:
//
//   loop    takes the pictures that are wanted and orders those of the stream
//   panel   feels the contact and lights the lamp, every few milliseconds
//   push    sends what waits, and tries again
//   server  (ESP-IDF's) answers requests
//
// A board that has nothing but a period has no tasks: it takes a picture, sends it, and sleeps.
#pragma once

#include <mutex>

#include "../logic/button.h"
#include "../logic/duty.h"
#include "../logic/lamp.h"
#include "../logic/outbox.h"
#include "camera.h"
#include "counter.h"
#include "network.h"
#include "web.h"

namespace cam {

class App {
 public:
  explicit App(const Settings& settings);

  void setup();
  void loop();

 private:
  static void panel_forever(void* app);
  static void push_forever(void* app);

  [[noreturn]] void take_push_and_sleep();
  void take(int64_t wanted_us);
  void update_panel();
  void push();

  void show(Signal signal, Failure failure = Failure::None);
  void tell(PictureId id, const Delivery& delivery);
  void fail(PictureId id, Failure failure);
  bool next_press(int64_t& wanted_us);
  static void on_retry(void* app, const Decision& decision, uint32_t attempts);

  const Settings settings_;
  Camera camera_;
  Counter counter_;
  WifiConnection connection_;
  BoardClock clock_;
  Web web_;
  Period period_;
  Outbox outbox_;

  /// Of the panel's task.
  Button button_;

  std::mutex mutex_;
  Lamp lamp_;
  /// Presses that wait for their picture, the oldest first.
  static constexpr size_t PRESSES_MAX = 8;
  int64_t presses_[PRESSES_MAX] = {};
  size_t press_count_ = 0;
};

}  // namespace cam
