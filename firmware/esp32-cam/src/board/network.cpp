#include "network.h"

namespace cam {

namespace {

/// An access point that just started takes some seconds; longer than this is another attempt.
constexpr uint32_t WIFI_LIMIT_MS = 15000;
constexpr uint32_t WIFI_POLL_MS = 50;

}  // namespace

void begin_wifi(const Settings& settings) {
  // The password stands in the program; it need not be written to the flash at each start, too.
  WiFi.persistent(false);
  WiFi.setHostname(settings.device);
  WiFi.mode(WIFI_STA);
  // A radio that dozes answers up to a third of a second late.
  WiFi.setSleep(false);
  WiFi.setAutoReconnect(true);
  WiFi.begin(settings.wifi_ssid, settings.wifi_password[0] != '\0' ? settings.wifi_password : nullptr);
}

void end_wifi() {
  WiFi.disconnect(true);
  WiFi.mode(WIFI_OFF);
}

bool has_wifi() { return WiFi.status() == WL_CONNECTED; }

bool WifiConnection::open(const char* host, uint16_t port, uint32_t limit_ms) {
  for (uint32_t waited = 0; !has_wifi(); waited += WIFI_POLL_MS) {
    if (waited >= WIFI_LIMIT_MS) {
      WiFi.reconnect();
      return false;
    }
    delay(WIFI_POLL_MS);
  }
  return client_.connect(host, port, static_cast<int32_t>(limit_ms)) == 1;
}

int WifiConnection::write(const uint8_t* bytes, size_t length) {
  const size_t taken = client_.write(bytes, length);
  return taken > 0 || client_.connected() ? static_cast<int>(taken) : -1;
}

int WifiConnection::read(uint8_t* bytes, size_t room) {
  if (client_.available() > 0) {
    const int count = client_.read(bytes, room);
    if (count > 0) return count;
  }
  // What came with the end of the connection is read before the end is told.
  return client_.connected() || client_.available() > 0 ? 0 : -1;
}

void WifiConnection::close() { client_.stop(); }

uint32_t BoardClock::now_ms() { return static_cast<uint32_t>(millis()); }
void BoardClock::wait_ms(uint32_t duration_ms) { delay(duration_ms); }

}  // namespace cam
