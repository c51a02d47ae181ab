// The board behind the stubs, as a test moves it. It has power from `power_on` to `power_off`; what is in its flash
// memory stays. Its tasks are threads, which end where they wait next once the power is off. Its time is that of this
// machine, but pauses of 50 ms and more are skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <esp_camera.h>

namespace board {

/// Thrown where the sketch goes to sleep.
struct Asleep {
  uint64_t for_us;
};

/// Thrown in tasks of a board without power.
struct Dark {};

void power_on();
/// Returns when all tasks have ended.
void power_off();

// ---- moved by the test

void set_psram(bool has);
void set_wifi(bool is_there);
void set_pin(uint8_t pin, bool is_low);

/// What the sensor gives at a call: bytes, and how long before the call the frame was begun.
struct Frame {
  std::vector<uint8_t> bytes;
  int64_t age_us = 0;
  bool is_stamped = true;
  /// The driver waits in vain.
  bool is_missing = false;
};
/// Asked with the number of the call since the camera was opened, from 0.
void set_camera(std::function<Frame(uint32_t call)> camera);
void set_camera_fails_to_open(bool fails);

/// How many writes the flash memory still takes; negative: all.
void set_flash_writes(int writes);
void erase_flash();

// ---- seen by the test

camera_config_t camera_config();
uint32_t camera_opened();
bool camera_is_open();
/// Frames that the sketch has and did not give back.
int frames_out();
bool is_lamp_lit();
bool pin_level(uint8_t pin);
/// How often the sketch has looked at it.
uint32_t pin_reads(uint8_t pin);
bool is_held(int pin);
std::string serial();
std::string wifi_ssid();
bool wifi_is_on();

// ---- the web server's clients

struct HttpAnswer {
  /// As on the wire; empty if the handler closed the connection without a word.
  std::string text;
  bool is_closed = false;
  std::string status() const;
  std::string field(const std::string& name) const;
  std::string body() const;
};

/// One request on a connection of its own, which is closed after it.
HttpAnswer get(const std::string& uri, const std::string& authorization = "");

/// A connection that stays.
class Client {
 public:
  Client();
  ~Client();
  HttpAnswer get(const std::string& uri, const std::string& authorization = "");
  /// What came since the last call.
  std::string received();
  bool is_open() const;
  /// From now on the server can send it nothing more.
  void stop_reading();
  /// At most so many bytes are taken at a time.
  void take_at_most(size_t bytes);

 private:
  int socket_;
};

bool has_server_work();

/// Does what was ordered of the server's task; how many pieces of work.
int run_server_work();

}  // namespace board
