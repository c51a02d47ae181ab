// Wi-Fi, and connections over it.
#pragma once

#include <WiFi.h>

#include "../logic/attempt.h"

namespace cam {

/// Begins to connect; the rest goes on by itself, also after the network was away.
void begin_wifi(const Settings& settings);
void end_wifi();
bool has_wifi();

class WifiConnection : public Connection {
 public:
  /// Waits for the Wi-Fi first.
  bool open(const char* host, uint16_t port, uint32_t limit_ms) override;
  int write(const uint8_t* bytes, size_t length) override;
  int read(uint8_t* bytes, size_t room) override;
  void close() override;

 private:
  WiFiClient client_;
};

class BoardClock : public Clock {
 public:
  uint32_t now_ms() override;
  void wait_ms(uint32_t duration_ms) override;
};

}  // namespace cam
